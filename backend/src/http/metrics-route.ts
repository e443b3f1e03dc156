import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { HttpEnv } from './env.ts';
import { problems } from './responses.ts';

/** `show` gives the metrics in Prometheus's text format. */
export function addMetricsRoute(app: OpenAPIHono<HttpEnv>, show: () => Promise<string>): void {
  app.openapi(metricsRoute, async (c) =>
    c.text(await show(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
  );
}

const metricsRoute = createRoute({
  method: 'get',
  path: '/metrics',
  summary: 'What the process counts, for Prometheus',
  responses: {
    200: {
      description: 'Prometheus text format 0.0.4',
      content: { 'text/plain': { schema: z.string() } },
    },
    ...problems([], { body: false }),
  },
});
