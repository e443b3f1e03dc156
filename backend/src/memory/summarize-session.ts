import { commitSummary, findSummaryBasis } from '#src/db/summaries.ts';
import { recordSummaryFailure } from '#src/db/summary-work.ts';
import { AppError, asAppError } from '#src/errors.ts';
import type { Summaries } from './summaries.ts';
import { takeWithin, writeSummary } from './write-summary.ts';

export type SummarizeOutcome = 'up to date' | 'held back' | 'erased' | 'stopped';

/** The conversation may change while its summary is written; whoever edits that often is not done yet. */
const MAX_RESTARTS = 5;

/**
 * Brings a session's summary up to its newest answered message, in as many versions as that takes.
 * Safe to run twice, at once or again: a version is stored only on what it was built upon.
 * What was edited or deleted meanwhile is read anew; a session that was closed meanwhile gets its
 * summary all the same. Stops between two versions when `signal` aborts.
 * Rejects with the model's failures, `model_paused` and `summary_outrun`.
 */
export async function summarizeSession(
  summaries: Summaries,
  sessionId: string,
  signal: AbortSignal,
): Promise<SummarizeOutcome> {
  const { db, settings, logger } = summaries;
  for (let restarts = 0; restarts <= MAX_RESTARTS;) {
    if (signal.aborted) return 'stopped';
    const limit = settings.newMessagesLimit;
    const basis = await findSummaryBasis(db, sessionId, { limit });
    if (basis === undefined) return 'erased';
    if (basis.held_back) return 'held back';
    if (basis.messages.length === 0) return 'up to date';
    const messages = takeWithin(basis.messages, settings.newTokensLimit);

    const startedAt = performance.now();
    const content = await writeSummary(summaries, basis.latest?.content, messages, signal);

    const commit = await commitSummary(db, sessionId, { latest: basis.latest, messages }, content);
    if (commit.outcome === 'erased') return 'erased';
    if (commit.outcome === 'changed') {
      restarts += 1;
      continue;
    }
    logger.info(
      {
        session_id: sessionId,
        version: commit.version,
        messages: messages.length,
        left: commit.left,
        duration_ms: Math.round(performance.now() - startedAt),
      },
      'summary written',
    );
    const wasAll = messages.length === basis.messages.length && messages.length < limit;
    if (wasAll && commit.left < settings.threshold) return 'up to date';
  }
  throw new AppError(
    'summary_outrun',
    'The conversation was edited again and again while its summary was written.',
  );
}

/** Keeps a failure with the session, where an operator sees it. Never rejects. */
export async function noteSummaryFailure(
  { db, logger }: Summaries,
  sessionId: string,
  error: unknown,
  gaveUp: boolean,
): Promise<void> {
  const problem = asAppError(error);
  logger.warn(
    {
      session_id: sessionId,
      code: problem.code,
      reason: problem.message,
      gave_up: gaveUp,
      err: problem.code === 'internal_error' ? error : undefined,
    },
    'summary failed',
  );
  // Neither says anything about this session; both end by themselves.
  if (problem.code === 'model_paused' || problem.code === 'database_unavailable') return;
  await recordSummaryFailure(db, sessionId, { error: problem.message, gaveUp }).catch(
    (cause: unknown) => logger.warn({ err: cause }, 'the failure could not be kept'),
  );
}
