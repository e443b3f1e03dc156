import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Chat } from '#src/chat/chat.ts';
import { checkHealth } from '#src/chat/check-health.ts';
import type { HttpEnv } from './env.ts';
import { json } from './responses.ts';

export function addHealthRoute(app: OpenAPIHono<HttpEnv>, chat: Chat): void {
  app.openapi(healthRoute, async (c) => {
    const health = await checkHealth(chat);
    return c.json(health, health.status === 'ok' ? 200 : 503);
  });
}

const Health = z
  .object({
    status: z.enum(['ok', 'down']),
    database: z.object({ status: z.enum(['ok', 'down']) }),
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
    503: json(Health, 'A required dependency is down'),
  },
});
