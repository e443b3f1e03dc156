import { hash, timingSafeEqual } from 'node:crypto';
import { bodyLimit } from 'hono/body-limit';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { routePath } from 'hono/route';
import type { Chat } from '#src/chat/chat.ts';
import { requireOperator } from '#src/chat/require-operator.ts';
import { AppError } from '#src/errors.ts';
import type { HttpEnv } from './env.ts';

/** Lets a request pass that bears one of the keys. Digests are compared, so length tells nothing. */
export function requireApiKey(apiKeys: string[]) {
  const known = apiKeys.map(digest);
  return createMiddleware<HttpEnv>(async (c, next) => {
    const given = bearerOf(c);
    const matches = known.map((key) => timingSafeEqual(key, given));
    if (!matches.includes(true) && c.get('operator') === undefined) {
      throw new AppError('unauthorized', 'Send "Authorization: Bearer <one of API_KEY>".');
    }
    await next();
  });
}

/** The panel's own key opens what an operator may do, to operators. Stands before `requireApiKey`. */
export function admitOperators(deskApiKey: string, chat: Chat) {
  const desk = digest(deskApiKey);
  return createMiddleware<HttpEnv>(async (c, next) => {
    if (timingSafeEqual(desk, bearerOf(c))) c.set('operator', await identifyOperator(c, chat));
    await next();
  });
}

/** Who presses the panel's buttons. Whatever the panel itself allows, the database is asked again. */
async function identifyOperator(c: Context<HttpEnv>, chat: Chat): Promise<string> {
  if (!operatorsMayCall.has(`${c.req.method} ${routePath(c, -1)}`)) {
    throw new AppError('operator_not_allowed', 'This needs one of API_KEY, not DESK_API_KEY.');
  }
  const operatorId = c.req.header('x-operator') ?? '';
  await requireOperator(chat.db, operatorId);
  return operatorId;
}

const operatorsMayCall = new Set([
  'POST /v1/chats/:chat_id/messages',
  'POST /v1/chats/:chat_id/takeover',
  'POST /v1/chats/:chat_id/handback',
  'GET /v1/chats/:chat_id/footprint',
  'GET /v1/chats/:chat_id/export',
  'GET /v1/users/:user_id/footprint',
  'POST /v1/sessions/:session_id/summarize',
  'POST /v1/sessions/:session_id/rebuild',
  'GET /v1/turns/:turn_id/context',
  'POST /v1/turns/:turn_id/retry',
  'POST /v1/deliveries/:message_id/retry',
  'POST /v1/memories/retry',
  'POST /v1/chat/reset',
  'POST /v1/chat/forget',
  'POST /v1/access/approve',
]);

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

function bearerOf(c: Context<HttpEnv>): Buffer {
  return digest(/^Bearer +(.+)$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? '');
}

/**
 * Refuses a body that is too long. One that tells its length is judged by that: counting it as a
 * stream costs as much as the rest of a request.
 */
export function limitBody(maxBytes: number) {
  const onError = (): never => {
    throw new AppError('body_too_large', `The body may have at most ${maxBytes} bytes.`);
  };
  const counted = bodyLimit({ maxSize: maxBytes, onError });
  return createMiddleware<HttpEnv>(async (c, next) => {
    const length = c.req.header('content-length');
    if (c.req.header('transfer-encoding') !== undefined) return await counted(c, next);
    if (Number(length ?? 0) > maxBytes) onError();
    await next();
  });
}

function digest(value: string): Buffer {
  return hash('sha256', value, 'buffer');
}
