import { setTimeout as sleep } from 'node:timers/promises';
// This build of grammY runs on Node's own fetch, which never reuses a connection that the other
// side may have closed meanwhile: a dropped send is an unknown send.
import { Api, GrammyError } from 'grammy/web';
import type { Logger } from '#src/logger.ts';
import { createTrouble } from '#src/trouble.ts';
import { describeError } from './describe-error.ts';
import { retryAfterSeconds } from './try-send.ts';

/** A send that has not been answered by then has an unknown outcome. */
const TIMEOUT_SECONDS = 60;

export function createApi(token: string, apiRoot: string): Api {
  return new Api(token, { apiRoot, timeoutSeconds: TIMEOUT_SECONDS });
}

/** A signal as grammY's types have it: they are those of its other build. */
export function forGrammy(signal: AbortSignal) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return signal as unknown as Parameters<Api['getMe']>[0];
}

/** Telegram does not know the token: nothing that the bot can do. */
export class WrongToken extends Error {
  constructor() {
    super('BOT_TOKEN: Telegram does not know this token; copy it again from @BotFather.');
    this.name = 'WrongToken';
  }
}

/**
 * Makes a call until it works, telling of the trouble once. Rejects with {@link WrongToken}, or
 * with `stop`'s reason.
 */
export function createPersistentCall(logger: Logger, stop: AbortSignal) {
  const trouble = createTrouble(logger, 'Telegram');
  return async function persistently<T>(call: () => Promise<T>): Promise<T> {
    for (let pause = 500; ; pause = Math.min(pause * 2, 15_000)) {
      try {
        const result = await call();
        trouble(undefined);
        return result;
      } catch (error) {
        stop.throwIfAborted();
        const status = error instanceof GrammyError ? error.error_code : undefined;
        if (status === 401 || status === 404) throw new WrongToken();
        trouble(status === 409 ? secondPoller : String(describeError(error)['reason']));
        const asked = retryAfterSeconds(error);
        await sleep(asked === undefined ? pause : asked * 1_000, undefined, { signal: stop });
      }
    }
  };
}

const secondPoller = 'another process polls with the same BOT_TOKEN; stop one of the two';
