import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Chat } from '#src/chat/chat.ts';
import { searchMemories } from '#src/memory/recall/search-memories.ts';
import type { HttpEnv } from './env.ts';
import { json, jsonBody, problems } from './responses.ts';
import { SearchBody } from './schemas.ts';

/** What is remembered of a chat, for other programs and for an operator. */
export function addMemoryRoutes(app: OpenAPIHono<HttpEnv>, chat: Chat): void {
  app.openapi(searchRoute, async (c) => {
    const { chat_id: chatId, query, limit } = c.req.valid('json');
    const hits = await searchMemories(chat.db, { chatId, query, limit }, chat.vectors);
    return c.json(
      {
        hits: hits.map(({ content, created_at, ...hit }) => ({
          ...hit,
          date: created_at,
          text: content,
        })),
      },
      200,
    );
  });
}

const searchRoute = createRoute({
  method: 'post',
  path: '/v1/memory/search',
  summary: 'Find what was said in a chat',
  description:
    'Of all its sessions, best first: what a reply to the query would recall. ' +
    'Empty where nothing says enough about the query.',
  request: { body: jsonBody(SearchBody) },
  responses: {
    200: json(
      z.object({
        hits: z.array(
          z
            .object({
              memory_id: z.string(),
              source: z.enum(['message', 'summary']),
              message_id: z.string().nullable(),
              session_id: z.uuid(),
              role: z.string(),
              score: z
                .number()
                .openapi({ description: '1 is about as much as a memory could say.' }),
              date: z.string(),
              text: z.string(),
            })
            .openapi('Hit'),
        ),
      }),
      'The memories that were found',
    ),
    ...problems(['validation_failed'], { body: true }),
  },
});
