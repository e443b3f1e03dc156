import { callOf, marksIn, saidIn } from '../marks.ts';
import type { SummaryPrompt } from '../prompt.ts';
import type { StoredSummary } from '../stored.ts';
import { isDeleted, unansweredIds } from './evidence.ts';
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
  const steps = stepsTo(evidence, version, before);
  const first = steps[0];
  if (first === undefined) {
    const marks = [ownMark(version)];
    return [{ rule: 'a summary is what the model wrote', what: 'was written by no call', marks }];
  }
  const isRebuilt = first.previous === '';
  const taken = steps.flatMap(({ messages }) => messages.flatMap(saidIn));
  const given = new Set(taken);
  const told = new Set(saidIn(first.previous));
  const covered = coveredMarks(evidence, version, isRebuilt ? undefined : before);
  const deleted = isDeleted(evidence);
  const rule = 'nothing is summarised twice or skipped';
  const problems: Problem[] = [
    { rule, what: 'skips', marks: [...covered].filter((mark) => !given.has(mark)) },
    {
      rule,
      what: 'takes what it does not cover:',
      marks: [...given].filter((mark) => !covered.has(mark) && !deleted(mark)),
    },
    {
      rule,
      what: 'takes once more',
      marks: taken.filter((mark, index) => told.has(mark) || taken.indexOf(mark) < index),
    },
    {
      rule: 'a version builds on the one before',
      what: 'does not build on',
      marks:
        isRebuilt && before !== undefined && !evidence.desk.rebuilt.has(version.session_id)
          ? [ownMark(before)]
          : [],
    },
  ];
  const longest = Math.max(...steps.map(({ messages }) => messages.length));
  if (longest > evidence.settings.newMessagesLimit) {
    problems.push({
      rule: 'a version takes at most so many messages',
      what: `takes ${longest}:`,
      marks: [...given],
    });
  }
  return problems.filter(({ marks }) => marks.length > 0);
}

/** The calls that led to a version since the one before: one; where it was written anew, all from the beginning. */
function stepsTo(
  { calls }: Evidence,
  version: StoredSummary,
  before: StoredSummary | undefined,
): SummaryPrompt[] {
  const steps: SummaryPrompt[] = [];
  for (let mark = ownMark(version); ;) {
    const prompt = calls[callOf(mark)]?.prompt;
    if (prompt?.kind !== 'summary') return [];
    steps.unshift(prompt);
    mark = versionMarkIn(prompt.previous);
    if (prompt.previous === '' || (before !== undefined && mark === ownMark(before))) return steps;
  }
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

function ownMark({ content }: StoredSummary): string {
  return versionMarkIn(content);
}

function versionMarkIn(text: string): string {
  return marksIn(text).find((mark) => /:v\d+\}$/.test(mark)) ?? '{none}';
}
