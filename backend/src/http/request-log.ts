import { createMiddleware } from 'hono/factory';
import type { Logger } from '#src/logger.ts';
import type { HttpEnv } from './env.ts';

/** One line a request, when its response begins. */
export function logRequest(logger: Logger) {
  return createMiddleware<HttpEnv>(async (c, next) => {
    const startedAt = performance.now();
    c.set('logger', logger.child({ request_id: c.var.requestId }));
    await next();
    c.var.logger.info(
      {
        method: c.req.method,
        // The route's pattern: a path would put chat ids into the log twice and a probe's junk once.
        route: c.req.routePath,
        status: c.res.status,
        code: c.var.problemCode,
        operator: c.var.operator,
        turn_id: c.var.turnId,
        duration_ms: Math.round(performance.now() - startedAt),
      },
      'request',
    );
  });
}
