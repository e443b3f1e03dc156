import type { Logger } from './logger.ts';

/**
 * Tells of an outage in one line when it begins and one when it is over, however many calls fail.
 * Call it with the reason, or with undefined where a call has worked.
 */
export function createTrouble(logger: Logger, what: string): (reason: string | undefined) => void {
  let known: string | undefined;
  return (reason) => {
    if (reason === known) return;
    if (reason === undefined) logger.info(`${what} can be used again.`);
    else logger.warn(`${what} cannot be used (${reason}); trying again until it can.`);
    known = reason;
  };
}
