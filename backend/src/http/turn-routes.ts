import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Chat } from '#src/chat/chat.ts';
import { explainTurn } from '#src/chat/explain-turn.ts';
import type { HttpEnv } from './env.ts';
import { json, problems } from './responses.ts';
import { TurnParams } from './schemas.ts';

export function addTurnRoutes(app: OpenAPIHono<HttpEnv>, chat: Chat): void {
  app.openapi(contextRoute, async (c) => {
    return c.json(await explainTurn(chat.db, c.req.valid('param').turn_id), 200);
  });
}

const count = z.int();
const rowId = z.string();

const TurnContext = z
  .object({
    turn_id: rowId,
    session_id: z.uuid(),
    chat_id: z.string(),
    state: z.string(),
    attempts: count,
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    model: z.string().nullable(),
    finish_reason: z.string().nullable(),
    latency_ms: count.nullable(),
    tokens: z
      .object({ prompt: count.nullable(), completion: count.nullable() })
      .openapi({ description: 'As the provider counted them.' }),
    cost_usd: z.number().nullable(),
    user_message_id: rowId.nullable(),
    reply_message_id: rowId.nullable(),
    context: z
      .object({
        instruction: z.object({ tokens: count }),
        summary: z
          .object({
            id: rowId,
            version: count,
            last_message_id: rowId,
            tokens: count,
            content: z.string().nullable(),
          })
          .nullable(),
        window: z.object({
          first_message_id: rowId.nullable(),
          last_message_id: rowId.nullable(),
          messages: count,
          tokens: count,
        }),
        recalled: z.array(
          z.object({
            memory_id: rowId,
            source: z.enum(['message', 'summary']),
            message_id: rowId.nullable(),
            session_id: z.uuid(),
            role: z.string(),
            score: z.number(),
            created_at: z.string(),
            tokens: count,
            content: z.string().nullable(),
          }),
        ),
        message: z.object({ tokens: count }),
        left_out: z.object({ messages: count, unanswered_messages: count, memories: count }),
        prompt_tokens_estimated: count,
        token_budget: count,
        notes: z.array(z.string()),
      })
      .nullable(),
  })
  .openapi('TurnContext');

const contextRoute = createRoute({
  method: 'get',
  path: '/v1/turns/{turn_id}/context',
  summary: 'What the model was sent for a reply, and why',
  request: { params: TurnParams },
  responses: {
    200: json(TurnContext, 'The turn and its context log'),
    ...problems(['validation_failed', 'not_found'], { body: false }),
  },
});
