import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';

/** Lines go out together: a write for each costs a twentieth of a turn. */
const stdout = { dest: 1, sync: false, minLength: 4_096, periodicFlush: 200 };

/**
 * The process's logger: JSON lines on stdout, a fifth of a second late at most. Ids, durations and
 * outcomes only; message text, prompts and keys are never handed to it.
 */
export function createLogger(
  level: string,
  destination: DestinationStream = pino.destination(stdout),
): Logger {
  return pino({ level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

export type { Logger };
