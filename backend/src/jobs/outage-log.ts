import type { Logger } from '#src/logger.ts';
import { reasonOf } from '#src/start-error.ts';

/** Clients report every failed attempt to reconnect; the log gets one line when it begins and one when it ends. */
export interface OutageLog {
  failed: (error: unknown) => void;
  worked: () => void;
  /** From now on a broken connection is expected. */
  end: () => void;
}

export function createOutageLog(logger: Logger, what: string): OutageLog {
  let state: 'fine' | 'out' | 'ended' = 'fine';
  return {
    failed(error) {
      if (state !== 'fine') return;
      state = 'out';
      logger.warn(
        { reason: reasonOf(error) },
        `${what} cannot be reached; what it misses is made up for later`,
      );
    },
    worked() {
      if (state !== 'out') return;
      state = 'fine';
      logger.info(`${what} can be reached again`);
    },
    end() {
      state = 'ended';
    },
  };
}
