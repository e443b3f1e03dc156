import { pino } from 'pino';
import type { Logger } from 'pino';

/**
 * The process's logger: JSON lines on stdout. Ids, durations and outcomes only; message text is
 * never handed to it. `secrets` are struck out of every line, whoever put them there.
 */
export function createLogger(level: string, secrets: (string | undefined)[]): Logger {
  const known = secrets.filter((secret) => secret !== undefined).filter((secret) => secret !== '');
  return pino({
    level,
    base: { part: 'telegram-bot' },
    timestamp: pino.stdTimeFunctions.isoTime,
    hooks: {
      streamWrite: (line) => known.reduce((text, secret) => text.replaceAll(secret, '***'), line),
    },
  });
}

export type { Logger };
