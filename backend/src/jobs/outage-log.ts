import type { Logger } from '#src/logger.ts';

/** Clients report every failed attempt to reconnect; the log gets one line when it begins and one when it ends. */
export interface OutageLog {
  failed: (error: unknown) => void;
  worked: () => void;
}

export function createOutageLog(logger: Logger, what: string): OutageLog {
  let isOut = false;
  return {
    failed(error) {
      if (!isOut)
        logger.warn(
          { err: error },
          `${what} cannot be reached; what it misses is made up for later`,
        );
      isOut = true;
    },
    worked() {
      if (isOut) logger.info(`${what} can be reached again`);
      isOut = false;
    },
  };
}
