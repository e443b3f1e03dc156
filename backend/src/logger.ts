import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';

/**
 * The process's logger: JSON lines on stdout. Ids, durations and outcomes only;
 * message text, prompts and keys are never handed to it.
 */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  return pino({ level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

export type { Logger };
