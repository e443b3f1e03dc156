import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Chat } from '#src/chat/chat.ts';
import { checkHealth } from '#src/chat/check-health.ts';
import type { HttpEnv } from './env.ts';
import { json } from './responses.ts';
import { ProblemBody } from './schemas.ts';

export function addHealthRoute(app: OpenAPIHono<HttpEnv>, chat: Chat): void {
  app.openapi(healthRoute, async (c) => {
    return c.json(await checkHealth(chat), 200);
  });
}

const Health = z
  .object({
    status: z.enum(['ok', 'degraded']),
    database: z.object({ status: z.literal('ok') }),
    model: z.object({ name: z.string() }),
    queue: z
      .object({
        backend: z.enum(['redis', 'postgres']),
        status: z.enum(['ok', 'down']),
        waiting: z.int().nullable(),
        active: z.int().nullable(),
        delayed: z.int().nullable(),
      })
      .nullable()
      .openapi({ description: 'Jobs; null where SUMMARY_MODE needs no queue' }),
    vectors: z
      .object({
        status: z.enum(['ok', 'down']),
        vector_store: z.enum(['ok', 'down']),
        embeddings: z.enum(['ok', 'down']),
      })
      .nullable()
      .openapi({ description: 'null where QDRANT_URL is not set' }),
    summaries: z
      .object({
        mode: z.enum(['queue', 'inline', 'off']),
        waiting: z.int().openapi({ description: 'Conversations past SUMMARY_THRESHOLD' }),
        oldest_waiting_seconds: z.int().nullable(),
        failed: z.int().openapi({ description: 'Conversations whose last try failed' }),
      })
      .nullable(),
  })
  .openapi('Health');

const healthRoute = createRoute({
  method: 'get',
  path: '/health',
  summary: 'Is the service able to answer',
  security: [],
  responses: {
    200: json(
      Health,
      'Every required dependency answers; `degraded` where an optional one does not',
    ),
    503: {
      description: '`database_unavailable`: a required dependency is down',
      content: { 'application/problem+json': { schema: ProblemBody } },
    },
  },
});
