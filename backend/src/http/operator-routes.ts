import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Chat } from '#src/chat/chat.ts';
import { measureChat, measureUser } from '#src/chat/footprint.ts';
import { handBackChat } from '#src/chat/hand-back-chat.ts';
import { sendOperatorMessage } from '#src/chat/send-operator-message.ts';
import { takeOverChat } from '#src/chat/take-over-chat.ts';
import type { HttpEnv } from './env.ts';
import { json, jsonBody, problems } from './responses.ts';
import { RowsByTable, sumRows } from './rows.ts';
import { ChatParams, OperatorMessageBody, UserParams } from './schemas.ts';

/** What an operator does to a chat from the panel. */
export function addOperatorRoutes(app: OpenAPIHono<HttpEnv>, chat: Chat): void {
  app.openapi(sendRoute, async (c) => {
    const { chat_id: chatId } = c.req.valid('param');
    const { text } = c.req.valid('json');
    const message = { chatId, text, operatorId: c.get('operator') };
    const messageId = await sendOperatorMessage(chat.db, message);
    return c.json({ message_id: messageId, delivery: 'pending' as const }, 201);
  });

  app.openapi(takeoverRoute, async (c) => {
    await takeOverChat(chat.db, c.req.valid('param').chat_id, c.get('operator'));
    return c.json({ status: 'ok' as const, taken_over: true }, 200);
  });

  app.openapi(handbackRoute, async (c) => {
    await handBackChat(chat.db, c.req.valid('param').chat_id);
    return c.json({ status: 'ok' as const, taken_over: false }, 200);
  });

  app.openapi(chatFootprintRoute, async (c) => {
    const rows = await measureChat(chat.db, c.req.valid('param').chat_id);
    return c.json({ rows, total: sumRows(rows) }, 200);
  });

  app.openapi(userFootprintRoute, async (c) => {
    const rows = await measureUser(chat.db, c.req.valid('param').user_id);
    return c.json({ rows, total: sumRows(rows) }, 200);
  });
}

const sendRoute = createRoute({
  method: 'post',
  path: '/v1/chats/{chat_id}/messages',
  summary: 'Say something in a chat as its operator',
  description: 'Stored as `role = assistant` with `author = operator`, and sent by the outbox.',
  request: { params: ChatParams, body: jsonBody(OperatorMessageBody) },
  responses: {
    201: json(
      z.object({ message_id: z.string(), delivery: z.literal('pending') }),
      'It waits in the outbox',
    ),
    ...problems(['validation_failed', 'not_found'], { body: true }),
  },
});

const Taken = z.object({ status: z.literal('ok'), taken_over: z.boolean() });

const takeoverRoute = createRoute({
  method: 'post',
  path: '/v1/chats/{chat_id}/takeover',
  summary: 'Take over a chat: the bot is silent until it is handed back',
  description:
    'The user’s messages are stored meanwhile. An answer that is being written is dropped; one that ' +
    'was stored before is still delivered.',
  request: { params: ChatParams },
  responses: {
    200: json(Taken, 'The bot is silent'),
    ...problems(['validation_failed', 'not_found'], { body: true }),
  },
});

const handbackRoute = createRoute({
  method: 'post',
  path: '/v1/chats/{chat_id}/handback',
  summary: 'Hand a chat back to the bot',
  description: 'It answers from the next message on, and knows what was said meanwhile.',
  request: { params: ChatParams },
  responses: {
    200: json(Taken, 'The bot answers again'),
    ...problems(['validation_failed', 'not_found'], { body: true }),
  },
});

const Footprint = z.object({ rows: RowsByTable, total: z.int() }).openapi('Footprint');

const chatFootprintRoute = createRoute({
  method: 'get',
  path: '/v1/chats/{chat_id}/footprint',
  summary: 'How many rows forgetting a chat would erase',
  request: { params: ChatParams },
  responses: {
    200: json(Footprint, 'Rows by table; all 0 where nothing is kept'),
    ...problems(['validation_failed'], { body: false }),
  },
});

const userFootprintRoute = createRoute({
  method: 'get',
  path: '/v1/users/{user_id}/footprint',
  summary: 'How many rows forgetting a user would erase',
  request: { params: UserParams },
  responses: {
    200: json(Footprint, 'Rows by table; all 0 where nothing is kept'),
    ...problems(['validation_failed'], { body: false }),
  },
});
