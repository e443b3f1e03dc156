import { randomUUID } from 'node:crypto';
import { createMiddleware } from 'hono/factory';
import type { Logger } from '#src/logger.ts';
import type { HttpEnv } from './env.ts';

/**
 * Gives a request the caller's id or one of ours, which the response names, and its one line in the
 * log, when the response is out or its caller is gone: nobody waits for it.
 */
export function logRequest(logger: Logger) {
  return createMiddleware<HttpEnv>(async (c, next) => {
    const startedAt = performance.now();
    const given = c.req.header('x-request-id') ?? '';
    const requestId = /^[\w\-=]{1,255}$/.test(given) ? given : randomUUID();
    const { outgoing } = c.env;
    c.set('requestId', requestId);
    c.set('logger', logger);
    // Set on Hono's response it would cost a web Headers object at every request.
    outgoing.setHeader('x-request-id', requestId);
    await next();
    if (outgoing.closed) tell();
    else outgoing.once('close', tell);

    function tell(): void {
      logger.info(
        {
          request_id: requestId,
          method: c.req.method,
          // The route's pattern: a path would put chat ids into the log twice and a probe's junk once.
          route: c.req.routePath,
          status: c.res.status,
          code: c.get('problemCode'),
          operator: c.get('operator'),
          ...c.get('turn'),
          duration_ms: Math.round(performance.now() - startedAt),
        },
        'request',
      );
    }
  });
}
