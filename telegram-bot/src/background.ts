import type { Logger } from './logger.ts';
import { describeError } from './telegram/describe-error.ts';

/** Work that outlives the update that caused it: answers on their way. */
export interface Background {
  /** A failure is logged. */
  run(name: string, work: Promise<unknown>): void;
  /** Resolves when all work has ended, or after `deadlineMs`. */
  drain(deadlineMs: number): Promise<void>;
}

export function createBackground(logger: Logger): Background {
  const running = new Set<Promise<void>>();
  return {
    run(name, work) {
      const job: Promise<void> = work
        .then(
          () => {},
          (error: unknown) => logger.error({ ...describeError(error), job: name }, 'job failed'),
        )
        .finally(() => running.delete(job));
      running.add(job);
    },
    async drain(deadlineMs) {
      const deadline = AbortSignal.timeout(deadlineMs);
      const late = new Promise((resolve) => {
        deadline.addEventListener('abort', resolve);
      });
      while (running.size > 0 && !deadline.aborted) {
        await Promise.race([Promise.all(running), late]);
      }
    },
  };
}
