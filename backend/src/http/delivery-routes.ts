import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Chat } from '#src/chat/chat.ts';
import { claimDeliveries, markDelivery } from '#src/chat/deliveries.ts';
import type { HttpEnv } from './env.ts';
import { json, jsonBody, problems } from './responses.ts';
import { DeliveriesQuery, MarkBody, MessageParams } from './schemas.ts';

/** The outbox: what channels fetch, and what they say they did with it. */
export function addDeliveryRoutes(app: OpenAPIHono<HttpEnv>, chat: Chat): void {
  app.openapi(listRoute, async (c) => {
    const { channel, wait } = c.req.valid('query');
    const signal = AbortSignal.any([c.req.raw.signal, chat.closing.signal]);
    return c.json({ deliveries: await claimDeliveries(chat.db, channel, wait, signal) }, 200);
  });

  app.openapi(markRoute, async (c) => {
    const { message_id: messageId } = c.req.valid('param');
    const mark = c.req.valid('json');
    await markDelivery(chat.db, messageId, {
      state: mark.state,
      channelMessageId: mark.channel_message_id,
      error: mark.error,
      inOrder: mark.in_order,
    });
    return c.json({ status: 'ok' as const, message_id: messageId, state: mark.state }, 200);
  });
}

const listRoute = createRoute({
  method: 'get',
  path: '/v1/deliveries',
  summary: 'Claim messages that no caller is waiting for',
  description:
    'Oldest first. A message that was claimed or marked `sending` and is not marked again within a minute is offered again.',
  request: { query: DeliveriesQuery },
  responses: {
    200: json(
      z.object({
        deliveries: z.array(
          z
            .object({
              message_id: z.string(),
              chat_id: z.string(),
              user_id: z.string(),
              session_id: z.uuid(),
              turn_id: z.string().nullable(),
              text: z.string(),
              author: z.string().nullable(),
              state: z.enum(['pending', 'sending']).openapi({
                description: '`sending`: it may have been sent; whoever took it never said.',
              }),
            })
            .openapi('Delivery'),
        ),
      }),
      'The claimed messages; none where none came in time',
    ),
    ...problems(['validation_failed'], { body: false }),
  },
});

const markRoute = createRoute({
  method: 'post',
  path: '/v1/deliveries/{message_id}',
  summary: 'Say what was done with a message',
  request: { params: MessageParams, body: jsonBody(MarkBody) },
  responses: {
    200: json(
      z.object({ status: z.literal('ok'), message_id: z.string(), state: z.string() }),
      'Marked',
    ),
    ...problems(['validation_failed', 'not_found', 'delivery_conflict'], { body: true }),
  },
});
