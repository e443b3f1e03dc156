import { createMiddleware } from 'hono/factory';
import type { Logger } from '#src/logger.ts';
import type { HttpEnv } from './env.ts';

/** One line a request, when its response is out or its caller is gone: nobody waits for it. */
export function logRequest(logger: Logger) {
  return createMiddleware<HttpEnv>(async (c, next) => {
    const startedAt = performance.now();
    c.set('logger', logger.child({ request_id: c.var.requestId }));
    await next();
    const { outgoing } = c.env;
    if (outgoing.closed) tell();
    else outgoing.once('close', tell);

    function tell(): void {
      c.var.logger.info(
        {
          method: c.req.method,
          // The route's pattern: a path would put chat ids into the log twice and a probe's junk once.
          route: c.req.routePath,
          status: c.res.status,
          code: c.var.problemCode,
          operator: c.var.operator,
          ...c.var.turn,
          duration_ms: Math.round(performance.now() - startedAt),
        },
        'request',
      );
    }
  });
}
