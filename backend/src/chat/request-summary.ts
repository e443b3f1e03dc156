import { askForSummary } from '#src/db/summary-work.ts';
import type { SummaryRequest } from '#src/db/summary-work.ts';
import { AppError } from '#src/errors.ts';
import type { Chat } from './chat.ts';

/**
 * Has a session summarised, or its summary written anew, now. The session's row keeps the request
 * until it is done, so a lost queue does not lose it; a failure stands there as `summary_error`.
 * Resolves with `done` only where the request itself writes summaries.
 * Rejects with `not_found` and `summaries_off`.
 */
export async function requestSummary(
  { db, summaries }: Pick<Chat, 'db' | 'summaries'>,
  sessionId: string,
  request: SummaryRequest,
  requestId: string,
): Promise<'queued' | 'done'> {
  if (summaries.mode === 'off') {
    throw new AppError(
      'summaries_off',
      'SUMMARY_MODE is off, so nobody writes summaries; set it to queue or inline.',
    );
  }
  if (!(await askForSummary(db, sessionId, request))) {
    throw new AppError('not_found', `There is no session ${sessionId}.`);
  }
  await summaries.request(sessionId, requestId);
  return summaries.mode === 'inline' ? 'done' : 'queued';
}
