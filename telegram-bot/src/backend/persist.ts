import { setTimeout as sleep } from 'node:timers/promises';
import { BackendUnavailable } from './problem.ts';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Makes a call that may be repeated, until the backend has answered it. Rejects with its
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
      if (stop?.aborted || Date.now() + pause > deadline) throw error;
      await sleep(pause, undefined, { signal: stop }).catch(() => {});
    }
  }
}
