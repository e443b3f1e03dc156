import { setTimeout as sleep } from 'node:timers/promises';
import { BackendUnavailable } from './problem.ts';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Makes a call that may be repeated, no sooner than the backend asks for, until the backend has answered it. Rejects with its
 * `BackendProblem`; with `BackendUnavailable` only after `patienceMs`, or when `stop` aborts.
 */
export async function persist<T>(
  call: () => Promise<T>,
  { patienceMs = Infinity, stop }: { patienceMs?: number; stop?: AbortSignal } = {},
): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof BackendUnavailable)) throw error;
      const wait = Math.max(pause, (error.retryAfterSeconds ?? 0) * 1_000);
      if (stop?.aborted || Date.now() + wait > deadline) throw error;
      await sleep(wait, undefined, { signal: stop }).catch(() => {});
    }
  }
}
