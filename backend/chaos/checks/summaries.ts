import { callOf, marksIn, saidIn } from '../marks.ts';
import type { SummaryPrompt } from '../prompt.ts';
import type { StoredSummary } from '../stored.ts';
import { deletedMarks, unansweredIds } from './evidence.ts';
import type { Evidence, Violation } from './evidence.ts';

/** 3 and 4: each version takes up where the one before ended, and covers what it was written from. */
export function checkSummaries(evidence: Evidence): Violation[] {
  const { sessions, summaries } = evidence.stored;
  return sessions.flatMap((session) => {
    const versions = summaries.filter(({ session_id: id }) => id === session.id);
    return versions.flatMap((version, index) =>
      findProblems(evidence, version, versions[index - 1]).map(({ rule, what, marks }) => ({
        rule,
        chat: session.chat_id,
        about: [...marks.slice(0, 3), session.id],
        text: `version ${version.version} of session ${session.id} (through message ${version.last_message_id}) ${what} ${marks.join(' ')}`,
      })),
    );
  });
}

interface Problem {
  rule: string;
  what: string;
  marks: string[];
}

function findProblems(
  evidence: Evidence,
  version: StoredSummary,
  before: StoredSummary | undefined,
): Problem[] {
  const own = ownMark(version);
  const prompt = evidence.calls[callOf(own)]?.prompt;
  if (prompt?.kind !== 'summary') {
    return [
      { rule: 'a summary is what the model wrote', what: 'was written by no call', marks: [own] },
    ];
  }
  const given = new Set(prompt.messages.flatMap(saidIn));
  const told = new Set(saidIn(prompt.previous));
  const covered = coveredMarks(evidence, version, before);
  const deleted = deletedMarks(evidence);
  const rule = 'nothing is summarised twice or skipped';
  const problems: Problem[] = [
    { rule, what: 'skips', marks: [...covered].filter((mark) => !given.has(mark)) },
    {
      rule,
      what: 'takes what it does not cover:',
      marks: [...given].filter((mark) => !covered.has(mark) && !deleted.has(mark)),
    },
    { rule, what: 'takes once more', marks: [...given].filter((mark) => told.has(mark)) },
    {
      rule: 'a version builds on the one before',
      what: 'does not build on',
      marks: buildsOn(prompt, before),
    },
  ].filter(({ marks }) => marks.length > 0);
  if (prompt.messages.length > evidence.settings.newMessagesLimit) {
    problems.push({
      rule: 'a version takes at most so many messages',
      what: `takes ${prompt.messages.length}:`,
      marks: [...given],
    });
  }
  return problems;
}

function coveredMarks(
  evidence: Evidence,
  { session_id: session, last_message_id: last }: StoredSummary,
  before: StoredSummary | undefined,
): Set<string> {
  const unanswered = unansweredIds(evidence);
  return new Set(
    evidence.stored.messages
      .filter((message) => message.session_id === session)
      .filter(({ id }) => id > (before?.last_message_id ?? 0) && id <= last && !unanswered.has(id))
      .flatMap(({ content }) => saidIn(content)),
  );
}

function buildsOn({ previous }: SummaryPrompt, before: StoredSummary | undefined): string[] {
  if (before === undefined) return previous === '' ? [] : ['nothing'];
  return marksIn(previous).includes(ownMark(before)) ? [] : [ownMark(before)];
}

function ownMark({ content }: StoredSummary): string {
  return marksIn(content).find((mark) => /:v\d+\}$/.test(mark)) ?? '{none}';
}
