import type { Model } from '#src/clients/model.ts';
import type { Db } from '#src/db/connect.ts';
import type { Logger } from '#src/logger.ts';

/** What writing summaries needs; made once per process by its entry. */
export interface Summaries {
  db: Db;
  model: Model;
  logger: Logger;
  settings: {
    /** Messages after which a summary is written. */
    threshold: number;
    /** Messages that one version takes at most. */
    newMessagesLimit: number;
    /** Estimated tokens of the messages that one version takes. */
    newTokensLimit: number;
    /** Tokens of one summary. */
    maxTokens: number;
    /** 0: never. */
    idleMinutes: number;
  };
}

/** The same, with the request that led to it in every log line. */
export function withRequestId(summaries: Summaries, requestId: string | undefined): Summaries {
  if (requestId === undefined) return summaries;
  return { ...summaries, logger: summaries.logger.child({ request_id: requestId }) };
}

/** How the chat asks for a summary, whichever way it is then written. */
export interface SummaryRequests {
  /** Queued: somewhere else, soon. Inline: before the promise resolves. */
  mode: 'queue' | 'inline' | 'off';
  /** Never rejects, and in the queue's mode never waits for the queue. `requestId`: what led to it, for the log. */
  request: (sessionId: string, requestId?: string) => Promise<void>;
  /** null where there is no queue. Never rejects. */
  checkQueue: () => Promise<QueueHealth | null>;
}

export interface QueueHealth {
  backend: 'redis' | 'postgres';
  status: 'ok' | 'down';
  /** Jobs; null while it is down. */
  waiting: number | null;
  active: number | null;
  /** Jobs that wait for their time: the next sweep, and those that failed. */
  delayed: number | null;
}
