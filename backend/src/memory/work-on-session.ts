import { findSummaryRequest, settleSummaryRequest } from '#src/db/summary-work.ts';
import { rebuildSummary } from './rebuild-summary.ts';
import type { Summaries } from './summaries.ts';
import { noteSummaryFailure, summarizeSession } from './summarize-session.ts';

/** A session's job: what an operator asked for, else its summary brought up to date. Rejects as those do. */
export async function workOnSession(
  summaries: Summaries,
  sessionId: string,
  signal: AbortSignal,
): Promise<void> {
  const asked = await findSummaryRequest(summaries.db, sessionId);
  if (asked?.request === 'rebuild') {
    await rebuildSummary(summaries, sessionId, () => {}, signal);
  } else {
    const outcome = await summarizeSession(summaries, sessionId, signal);
    if (outcome === 'stopped' || outcome === 'held back') return;
  }
  if (asked !== undefined) await settleSummaryRequest(summaries.db, sessionId, asked);
}

/** The same within a request: a failure is kept with the session and never fails the caller. */
export async function tryToWorkOnSession(
  summaries: Summaries,
  sessionId: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await workOnSession(summaries, sessionId, signal);
  } catch (error) {
    if (!signal.aborted) await noteSummaryFailure(summaries, sessionId, error, true);
  }
}
