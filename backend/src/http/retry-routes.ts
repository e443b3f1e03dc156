import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Chat } from '#src/chat/chat.ts';
import { retryDelivery } from '#src/chat/deliveries.ts';
import { requestSummary } from '#src/chat/request-summary.ts';
import { retryMemories } from '#src/chat/retry-memories.ts';
import { retryTurn } from '#src/chat/retry-turn.ts';
import type { HttpEnv } from './env.ts';
import { json, problems } from './responses.ts';
import { MessageParams, SessionParams, TurnParams } from './schemas.ts';

/** Work that an operator asks for: now, or again after it failed. */
export function addRetryRoutes(app: OpenAPIHono<HttpEnv>, chat: Chat): void {
  app.openapi(summarizeRoute, async (c) => {
    const { session_id: sessionId } = c.req.valid('param');
    const status = await requestSummary(chat, sessionId, 'summarize', c.get('requestId'));
    return c.json({ status }, 202);
  });

  app.openapi(rebuildRoute, async (c) => {
    const { session_id: sessionId } = c.req.valid('param');
    const status = await requestSummary(chat, sessionId, 'rebuild', c.get('requestId'));
    return c.json({ status }, 202);
  });

  app.openapi(turnRoute, async (c) => {
    await retryTurn(chat.db, c.req.valid('param').turn_id);
    return c.json({ status: 'queued' as const }, 202);
  });

  app.openapi(deliveryRoute, async (c) => {
    const { message_id: messageId } = c.req.valid('param');
    await retryDelivery(chat.db, messageId);
    return c.json({ status: 'ok' as const, message_id: messageId, state: 'pending' as const }, 200);
  });

  app.openapi(memoriesRoute, async (c) => {
    return c.json({ retried: await retryMemories(chat.db) }, 200);
  });
}

const SummaryAsked = z.object({
  status: z.enum(['queued', 'done']).openapi({
    description: '`done` with SUMMARY_MODE=inline. Either way `summary_error` says what failed.',
  }),
});

const summarizeRoute = createRoute({
  method: 'post',
  path: '/v1/sessions/{session_id}/summarize',
  summary: 'Summarise a session now',
  request: { params: SessionParams },
  responses: {
    202: json(SummaryAsked, 'The session keeps the request until it is done'),
    ...problems(['validation_failed', 'not_found', 'summaries_off'], { body: true }),
  },
});

const rebuildRoute = createRoute({
  method: 'post',
  path: '/v1/sessions/{session_id}/rebuild',
  summary: 'Write a session’s summary anew from all its messages',
  description: 'As a further version; earlier ones are kept.',
  request: { params: SessionParams },
  responses: {
    202: json(SummaryAsked, 'The session keeps the request until it is done'),
    ...problems(['validation_failed', 'not_found', 'summaries_off'], { body: true }),
  },
});

const turnRoute = createRoute({
  method: 'post',
  path: '/v1/turns/{turn_id}/retry',
  summary: 'Answer a failed turn after all',
  description: 'Its reply goes to the outbox.',
  request: { params: TurnParams },
  responses: {
    202: json(z.object({ status: z.literal('queued') }), 'It waits for its place in the chat'),
    ...problems(['validation_failed', 'not_found', 'turn_not_failed'], { body: true }),
  },
});

const deliveryRoute = createRoute({
  method: 'post',
  path: '/v1/deliveries/{message_id}/retry',
  summary: 'Send a message again that was not sent, or perhaps',
  request: { params: MessageParams },
  responses: {
    200: json(
      z.object({ status: z.literal('ok'), message_id: z.string(), state: z.literal('pending') }),
      'The outbox offers it at once',
    ),
    ...problems(['validation_failed', 'not_found', 'delivery_conflict'], { body: true }),
  },
});

const memoriesRoute = createRoute({
  method: 'post',
  path: '/v1/memories/retry',
  summary: 'Index the memories again whose indexing failed',
  responses: {
    200: json(z.object({ retried: z.int() }), 'How many there were'),
    ...problems([], { body: true }),
  },
});
