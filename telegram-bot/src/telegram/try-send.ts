import { setTimeout as sleep } from 'node:timers/promises';
import { GrammyError, HttpError } from 'grammy/web';
import { networkCode } from './describe-error.ts';

/**
 * How a call to Telegram ended. There is no key that would make a send safe to repeat, so it
 * matters what is known: `refused` and `unsent` surely changed nothing, `unknown` may have.
 */
export type Outcome<T> = { kind: 'done'; value: T } | Failure;
export type Failure = { kind: 'refused' | 'unsent' | 'unknown'; reason: string };

/** Before the connection stands nothing can have been sent. */
const neverConnected =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/;

const LONGEST_BACKOFF_MS = 10_000;

/**
 * Calls Telegram, and again as long as it surely did nothing: after `retry_after`, or when it
 * becomes reachable. Gives up after `patienceMs`, or when `stop` aborts; it never rejects.
 */
export async function trySend<T>(
  call: () => Promise<T>,
  { patienceMs, stop }: { patienceMs: number; stop?: AbortSignal },
): Promise<Outcome<T>> {
  const deadline = Date.now() + patienceMs;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return { kind: 'done', value: await call() };
    } catch (error) {
      const { kind, reason, retryAfterMs } = explain(error);
      if (kind !== 'unsent') return { kind, reason };
      const pause = retryAfterMs ?? Math.min(LONGEST_BACKOFF_MS, 250 * 2 ** attempt);
      if (stop?.aborted || Date.now() + pause > deadline) return { kind, reason };
      await sleep(pause, undefined, { signal: stop }).catch(() => {});
    }
  }
}

/** The seconds that Telegram asks to wait, where it answered 429. */
export function retryAfterSeconds(error: unknown): number | undefined {
  if (!(error instanceof GrammyError) || error.error_code !== 429) return undefined;
  return error.parameters.retry_after ?? 1;
}

function explain(error: unknown): Failure & { retryAfterMs?: number } {
  const retryAfter = retryAfterSeconds(error);
  if (retryAfter !== undefined) {
    return { kind: 'unsent', reason: 'too many requests', retryAfterMs: retryAfter * 1_000 };
  }
  if (error instanceof GrammyError) {
    return { kind: error.error_code < 500 ? 'refused' : 'unknown', reason: error.description };
  }
  const code = error instanceof HttpError ? networkCode(error) : undefined;
  if (code !== undefined && neverConnected.test(code)) return { kind: 'unsent', reason: code };
  return { kind: 'unknown', reason: code ?? 'no answer' };
}
