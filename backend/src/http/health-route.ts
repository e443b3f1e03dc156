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
    status: z.literal('ok'),
    database: z.object({ status: z.literal('ok') }),
    model: z.object({ name: z.string() }),
  })
  .openapi('Health');

const healthRoute = createRoute({
  method: 'get',
  path: '/health',
  summary: 'Is the service able to answer',
  security: [],
  responses: {
    200: json(Health, 'Every required dependency answers'),
    503: {
      description: '`database_unavailable`: a required dependency is down',
      content: { 'application/problem+json': { schema: ProblemBody } },
    },
  },
});
