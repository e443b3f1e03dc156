import { listSessionsToSummarize } from '#src/db/summary-work.ts';
import type { Summaries } from './summaries.ts';

/** More are found by the next sweep. */
const MAX_AT_ONCE = 500;

/**
 * Finds every session whose summary is due in PostgreSQL and hands it to `enqueue`: whatever a
 * queue forgot is in it again.
 */
export async function sweepSessions(
  { db, settings, logger }: Summaries,
  enqueue: (sessionIds: string[]) => Promise<void>,
): Promise<void> {
  const due = await listSessionsToSummarize(db, { ...settings, limit: MAX_AT_ONCE });
  if (due.length > 0) logger.info({ sessions: due.length }, 'summaries are due');
  await enqueue(due);
}
