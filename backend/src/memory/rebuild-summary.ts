import { commitSummary, findSummaryBasis } from '#src/db/summaries.ts';
import type { SourceMessage, SummaryBasis } from '#src/db/summaries.ts';
import { AppError } from '#src/errors.ts';
import type { Summaries } from './summaries.ts';
import { takeWithin, writeSummary } from './write-summary.ts';

export interface RebuiltSummary {
  version: number;
  messages: number;
}

/**
 * Writes a session's summary anew from all its messages, batch by batch, as one further version:
 * one stored in between would claim to cover messages that it does not tell of yet. Earlier
 * versions stay. `progress` is called after each batch with the messages so far. Resolves with
 * undefined where the session has no answered message. Rejects with `not_found`, the model's
 * failures, and `summary_outrun` where somebody edited the conversation meanwhile.
 */
export async function rebuildSummary(
  summaries: Summaries,
  sessionId: string,
  progress: (messages: number) => void,
  signal: AbortSignal,
): Promise<RebuiltSummary | undefined> {
  const { db, settings } = summaries;
  const covered: SourceMessage[] = [];
  let content: string | undefined;
  let first: SummaryBasis | undefined;
  for (;;) {
    const basis = await findSummaryBasis(db, sessionId, {
      limit: settings.newMessagesLimit,
      after: covered.at(-1)?.id ?? '0',
    });
    if (basis === undefined) throw notFound(sessionId);
    first ??= basis;
    // A version that a job wrote meanwhile is no edit: its messages are read here too.
    if (wasEdited(first, basis)) throw outrun();

    if (basis.messages.length > 0) {
      const batch = takeWithin(basis.messages, settings.newTokensLimit);
      content = await writeSummary(summaries, content, batch, signal);
      covered.push(...batch);
      progress(covered.length);
      continue;
    }
    if (content === undefined) return undefined;
    const read = { latest: basis.latest, messages: covered };
    const commit = await commitSummary(db, sessionId, read, content);
    if (commit.outcome === 'erased') throw notFound(sessionId);
    if (commit.outcome === 'changed') throw outrun();
    return { version: commit.version, messages: covered.length };
  }
}

function wasEdited({ latest: before }: SummaryBasis, { latest: now }: SummaryBasis): boolean {
  return before?.version === now?.version && before?.content !== now?.content;
}

function notFound(sessionId: string): AppError {
  return new AppError('not_found', `There is no session ${sessionId}.`);
}

function outrun(): AppError {
  return new AppError(
    'summary_outrun',
    'The conversation was edited while its summary was written; nothing was stored. Run it again.',
  );
}
