import { listSessionsToSummarize } from '#src/db/summary-work.ts';
import type { Summaries } from './summaries.ts';

/** More are found by the next sweep. */
const MAX_AT_ONCE = 500;

/**
 * Finds every session whose summary is due in PostgreSQL and hands it to `enqueue`: whatever a
 * queue forgot is in it again. `enqueue` resolves with how many it did not have yet.
 */
export async function sweepSessions(
  { db, settings, logger }: Summaries,
  enqueue: (sessionIds: string[]) => Promise<number>,
): Promise<void> {
  const due = await listSessionsToSummarize(db, { ...settings, limit: MAX_AT_ONCE });
  const enqueued = await enqueue(due);
  if (enqueued > 0) logger.info({ due: due.length, enqueued }, 'summaries enqueued by the sweep');
}
