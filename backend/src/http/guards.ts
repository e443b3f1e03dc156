import { createHash, timingSafeEqual } from 'node:crypto';
import { createMiddleware } from 'hono/factory';
import { AppError } from '#src/errors.ts';
import type { HttpEnv } from './env.ts';

/** Lets a request pass that bears one of the keys. Digests are compared, so length tells nothing. */
export function requireApiKey(apiKeys: string[]) {
  const known = apiKeys.map(digest);
  return createMiddleware<HttpEnv>(async (c, next) => {
    const given = digest(/^Bearer +(.+)$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? '');
    const matches = known.map((key) => timingSafeEqual(key, given));
    if (!matches.includes(true)) {
      throw new AppError('unauthorized', 'Send "Authorization: Bearer <one of API_KEY>".');
    }
    await next();
  });
}

/**
 * Without a key any web page could reach a server on the visitor's own machine by giving its name
 * a loopback address; such a request still carries the foreign name.
 */
export const requireLocalHost = createMiddleware<HttpEnv>(async (c, next) => {
  const host = new URL(c.req.url).hostname;
  if (!/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host)) {
    throw new AppError(
      'host_not_allowed',
      `Without API_KEY only local names are served, not ${host}.`,
    );
  }
  await next();
});

/** A page of another site cannot send this content type without asking first (CORS), and is not allowed to. */
export const requireJson = createMiddleware<HttpEnv>(async (c, next) => {
  const type = c.req.header('content-type') ?? '';
  if (c.req.method === 'POST' && !/^application\/([\w.+-]+\+)?json\b/i.test(type)) {
    throw new AppError('unsupported_media_type', 'Send "Content-Type: application/json".');
  }
  await next();
});

function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}
