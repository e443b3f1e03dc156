import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Chat } from '#src/chat/chat.ts';
import { exportChat } from '#src/chat/export-chat.ts';
import { forgetChat, forgetUser } from '#src/chat/forget.ts';
import { handleMessage } from '#src/chat/handle-message.ts';
import { resetSession } from '#src/chat/reset-session.ts';
import { showMemory } from '#src/chat/show-memory.ts';
import { stopAnswer } from '#src/chat/stop-answer.ts';
import type { HttpEnv } from './env.ts';
import { json, jsonBody, problems } from './responses.ts';
import { RowsByTable, sumRows } from './rows.ts';
import { CancelBody, ChatParams, ForgetBody, HandleBody, ReplyBody, ResetBody } from './schemas.ts';
import { streamReply } from './stream-reply.ts';

/** Everything that is said or done to a chat. */
export function addChatRoutes(app: OpenAPIHono<HttpEnv>, chat: Chat): void {
  app.openapi(handleRoute, async (c) => {
    const body = c.req.valid('json');
    const message = {
      userId: body.user_id,
      chatId: body.chat_id,
      text: body.text,
      messageId: body.message_id,
      channel: body.channel,
      requestId: c.get('requestId'),
    };
    if (c.req.header('accept')?.includes('text/event-stream')) {
      return await streamReply(c, chat, message);
    }
    const reply = await handleMessage(chat, message, {
      accepted: ({ turn_id }) => c.set('turn', { turn_id }),
      answered: (turn) => c.set('turn', turn),
      signal: c.req.raw.signal,
    });
    return c.json(reply, 200);
  });

  app.openapi(resetRoute, async (c) => {
    const { chat_id: chatId, session_id: sessionId } = c.req.valid('json');
    const count = await resetSession(
      chat,
      chatId === undefined ? { sessionId: sessionId ?? '' } : { chatId },
      c.get('requestId'),
    );
    return c.json({ status: 'ok' as const, reset_sessions: count }, 200);
  });

  app.openapi(cancelRoute, async (c) => {
    const { chat_id: chatId } = c.req.valid('json');
    return c.json({ status: 'ok' as const, cancelled_turns: await stopAnswer(chat, chatId) }, 200);
  });

  app.openapi(forgetRoute, async (c) => {
    const { chat_id: chatId, user_id: userId } = c.req.valid('json');
    const deleted =
      chatId === undefined ? await forgetUser(chat, userId ?? '') : await forgetChat(chat, chatId);
    return c.json({ status: 'ok' as const, deleted_rows: sumRows(deleted), deleted }, 200);
  });

  app.openapi(exportRoute, async (c) => {
    const { chat_id: chatId } = c.req.valid('param');
    return c.json(await exportChat(chat.db, chatId), 200);
  });

  app.openapi(memoryRoute, async (c) => {
    const { chat_id: chatId } = c.req.valid('param');
    return c.json(await showMemory(chat.db, chatId, chat.settings.shortHistoryLimit), 200);
  });
}

/** A Date in the handler, ISO 8601 in the JSON. */
const timestamp = z.date().openapi({ type: 'string', format: 'date-time' });

const handleRoute = createRoute({
  method: 'post',
  path: '/v1/chat/handle',
  summary: 'Answer a message',
  description:
    'Stores the message, then answers it with the chat’s memory. With `Accept: text/event-stream` ' +
    'the answer is streamed: one `accepted` event as soon as the message is durably stored, ' +
    '`delta` events with text, then one `message` event with the reply or one `error` event with a problem. ' +
    'While an operator holds the chat the reply is of the type `silence`: there is nothing to send ' +
    '(where that is known at once, the `accepted` event says `silent: true`). ' +
    'An answer that was being written when the chat was taken over ends so too: drop its deltas.',
  request: { body: jsonBody(HandleBody) },
  responses: {
    200: {
      description: 'The reply',
      content: {
        'application/json': { schema: ReplyBody },
        'text/event-stream': { schema: z.string() },
      },
    },
    ...problems(
      [
        'access_denied',
        'validation_failed',
        'rate_limited',
        'budget_exhausted',
        'overloaded',
        'idempotency_mismatch',
        'turn_cancelled',
        'reply_deleted',
        'model_failed',
        'model_timeout',
        'shutting_down',
      ],
      { body: true },
    ),
  },
});

const resetRoute = createRoute({
  method: 'post',
  path: '/v1/chat/reset',
  summary: 'Close the open conversation',
  request: { body: jsonBody(ResetBody) },
  responses: {
    200: json(
      z.object({ status: z.literal('ok'), reset_sessions: z.int() }),
      'How many sessions were closed',
    ),
    ...problems(['validation_failed'], { body: true }),
  },
});

const cancelRoute = createRoute({
  method: 'post',
  path: '/v1/chat/cancel',
  summary: 'Stop the running answer',
  request: { body: jsonBody(CancelBody) },
  responses: {
    200: json(
      z.object({ status: z.literal('ok'), cancelled_turns: z.int() }),
      'How many answers were stopped',
    ),
    ...problems(['validation_failed'], { body: true }),
  },
});

const forgetRoute = createRoute({
  method: 'post',
  path: '/v1/chat/forget',
  summary: 'Erase everything of a chat or a user',
  request: { body: jsonBody(ForgetBody) },
  responses: {
    200: json(
      z.object({
        status: z.literal('ok'),
        deleted_rows: z.int(),
        deleted: RowsByTable,
      }),
      'How many rows were erased, by table',
    ),
    ...problems(['validation_failed'], { body: true }),
  },
});

const exportRoute = createRoute({
  method: 'get',
  path: '/v1/chats/{chat_id}/export',
  summary: 'Everything that is kept of a chat',
  request: { params: ChatParams },
  responses: {
    200: json(
      z
        .object({
          chat_id: z.string(),
          exported_at: z.iso.datetime(),
          sessions: z.array(z.record(z.string(), z.any())),
        })
        .openapi('ChatExport'),
      'Sessions with their messages, summaries, turns and embeddings, oldest first',
    ),
    ...problems(['validation_failed', 'not_found'], { body: false }),
  },
});

const memoryRoute = createRoute({
  method: 'get',
  path: '/v1/chats/{chat_id}/memory',
  summary: 'What the next reply will know',
  request: { params: ChatParams },
  responses: {
    200: json(
      z
        .object({
          chat_id: z.string(),
          session_id: z.uuid().nullable(),
          summary: z
            .object({
              version: z.int(),
              content: z.string(),
              created_at: timestamp,
              last_message_id: z.string(),
            })
            .nullable(),
          messages_since_summary: z.int(),
          recent: z.array(
            z.object({
              id: z.string(),
              role: z.string(),
              content: z.string(),
              created_at: timestamp,
            }),
          ),
        })
        .openapi('ChatMemory'),
      'The summary and the newest messages of the open conversation',
    ),
    ...problems(['validation_failed', 'not_found'], { body: false }),
  },
});
