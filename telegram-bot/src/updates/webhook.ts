import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Api } from 'grammy/web';
import type { Update } from 'grammy/types';
import type { UpdatesConfig } from '#src/config.ts';
import type { Logger } from '#src/logger.ts';
import { createPersistentCall } from '#src/telegram/api.ts';
import { describeError } from '#src/telegram/describe-error.ts';
import { ALLOWED_UPDATES } from './take-update.ts';
import type { TakeUpdate } from './take-update.ts';

const MAX_BODY_BYTES = 1_048_576;
const REMEMBERED = 1_000;

/**
 * Serves Telegram's calls until `stop` aborts. Only an update that is taken is answered with 2xx:
 * any other Telegram sends again.
 */
export async function serveWebhook(
  api: Api,
  takeUpdate: TakeUpdate,
  config: Extract<UpdatesConfig, { kind: 'webhook' }>,
  { logger, stop }: { logger: Logger; stop: AbortSignal },
): Promise<void> {
  const takeOnce = onceEach(takeUpdate);
  const server = createServer((req, res) => {
    void answer(req, res).catch((error: unknown) => {
      logger.info(describeError(error), 'update left to Telegram');
      if (!res.headersSent) res.writeHead(503);
      res.end();
    });
  });

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (
      req.method !== 'POST' ||
      new URL(req.url ?? '/', config.url).pathname !== new URL(config.url).pathname
    ) {
      res.writeHead(404).end();
      return;
    }
    if (!isSame(req.headers['x-telegram-bot-api-secret-token'], config.secret)) {
      res.writeHead(401).end();
      return;
    }
    const update = parseUpdate(await readBody(req));
    if (update === undefined) {
      res.writeHead(400).end();
      return;
    }
    await takeOnce(update);
    res.writeHead(200).end();
  }

  server.listen(config.port);
  await once(server, 'listening');
  await createPersistentCall(
    logger,
    stop,
  )(() =>
    api.setWebhook(config.url, {
      secret_token: config.secret,
      allowed_updates: ALLOWED_UPDATES,
    }),
  );
  logger.info({ port: config.port }, 'webhook ready');
  if (!stop.aborted) await once(stop, 'abort');
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  await closed;
}

/** Telegram calls again where an answer was long in coming: the same update is taken once. */
function onceEach(takeUpdate: TakeUpdate): TakeUpdate {
  const known = new Map<number, Promise<number>>();
  return async (update) => {
    const { update_id: id } = update;
    const taking = known.get(id) ?? takeUpdate(update);
    known.set(id, taking);
    const [oldest] = known.keys();
    if (known.size > REMEMBERED && oldest !== undefined) known.delete(oldest);
    try {
      return await taking;
    } catch (error) {
      known.delete(id);
      throw error;
    }
  };
}

/** Digests are compared, so the time taken tells nothing. */
function isSame(given: string | string[] | undefined, secret: string): boolean {
  return timingSafeEqual(digest(String(given)), digest(secret));
}

function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}

async function readBody(req: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of req) {
    size += part.length;
    if (size > MAX_BODY_BYTES) throw new Error('the body is too large');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function parseUpdate(body: string): Update | undefined {
  try {
    const update: Update | null = JSON.parse(body);
    return typeof update?.update_id === 'number' ? update : undefined;
  } catch {
    return undefined;
  }
}
