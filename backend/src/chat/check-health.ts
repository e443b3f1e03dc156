import { sql } from 'kysely';
import { setTimeout as sleep } from 'node:timers/promises';
import { countSummaryWork } from '#src/db/summary-work.ts';
import type { SummaryWork } from '#src/db/summary-work.ts';
import { AppError } from '#src/errors.ts';
import type { VectorHealth } from '#src/memory/recall/check-vectors.ts';
import type { QueueHealth } from '#src/memory/summaries.ts';
import type { Chat } from './chat.ts';

export interface HealthReport {
  /** `degraded`: replies come as ever, without what the part that is down gives. */
  status: 'ok' | 'degraded';
  database: { status: 'ok' };
  model: { name: string };
  /** null: summaries need none. */
  queue: QueueHealth | null;
  /** null: memories are found by their words alone. */
  vectors: VectorHealth | null;
  /** null where they could not be counted in time. */
  summaries: ({ mode: Chat['summaries']['mode'] } & SummaryWork) | null;
}

/** A probe should not wait as long as a request may. */
const PROBE_TIMEOUT_MS = 2_000;

/**
 * Asks each dependency; rejects with `database_unavailable` where one that a reply needs is down.
 * The model is only named: a probe should not cost money.
 */
export async function checkHealth(chat: Chat): Promise<HealthReport> {
  const { mode } = chat.summaries;
  const [isUp, work, queue, vectors = null] = await Promise.all([
    answered(sql`select 1`.execute(chat.db)),
    answered(countSummaryWork(chat.db, chat.settings.summaryThreshold)),
    chat.summaries.checkQueue(),
    chat.vectors?.check(),
  ]);
  if (isUp === undefined) {
    throw new AppError('database_unavailable', 'The database does not answer.');
  }
  return {
    status: queue?.status === 'down' || vectors?.status === 'down' ? 'degraded' : 'ok',
    database: { status: 'ok' },
    model: { name: chat.model.name },
    queue,
    vectors,
    summaries: work === undefined ? null : { mode, ...work },
  };
}

/** undefined where it fails or takes too long. */
export async function answered<Answer>(question: Promise<Answer>): Promise<Answer | undefined> {
  return await Promise.race([
    question.catch(() => undefined),
    sleep(PROBE_TIMEOUT_MS, undefined, { ref: false }),
  ]);
}
