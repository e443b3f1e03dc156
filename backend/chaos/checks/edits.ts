import { callOf, marksIn, saidIn } from '../marks.ts';
import type { Act } from '../operator.ts';
import { listAnswered, messagesByMark, sessionsThereSince } from './evidence.ts';
import type { AnsweredTurn, Evidence, Violation } from './evidence.ts';

/** 7: what an operator edited is so in every later prompt, and what they deleted in none. */
export function checkEdits(evidence: Evidence): Violation[] {
  const answered = listAnswered(evidence);
  return evidence.acts
    .filter(({ known }) => known)
    .flatMap((act) => {
      const later = answered.filter(
        ({ turn }) => turn.chat_id === act.chat && turn.created_at > act.doneAt,
      );
      const problems = [
        ...later.flatMap((each) => promptProblem(act, each, evidence.desk.rebuilt) ?? []),
        ...summaryProblems(evidence, act),
      ];
      return problems.map((text) => ({
        rule: 'the operator wins',
        chat: act.chat,
        about: [...act.marks, ...marksIn(act.added), act.sessionId],
        text: `${act.kind} ${act.marks.join(' ')} ${act.added}: ${text}`,
      }));
    });
}

function promptProblem(
  act: Act,
  { prompt, call, turn }: AnsweredTurn,
  rebuilt: Set<string>,
): string | undefined {
  const where = `the prompt of call ${call}, later, for ${saidIn(prompt.asked).join(' ')}`;
  const told = [
    ...prompt.window,
    ...prompt.recalled.filter(({ by }) => by !== 'summary').map(({ text }) => text),
  ];
  const holders = told.filter((text) => act.marks.some((mark) => text.includes(mark)));
  if (act.kind === 'delete-message') return holders.length > 0 ? `${where}, holds it` : undefined;
  if (act.kind === 'edit-message') {
    const isOld = holders.some((text) => !text.includes(act.added));
    return isOld ? `${where}, holds it as it was` : undefined;
  }
  const concerned = !act.late && turn.session_id === act.sessionId && !rebuilt.has(act.sessionId);
  const obeyed = prompt.summary.includes(act.added);
  return concerned && !obeyed ? `${where}, has a summary without it` : undefined;
}

/** Summaries written after the act. What one told of before is not taken back. */
function summaryProblems(evidence: Evidence, act: Act): string[] {
  if (act.late || act.kind === 'edit-summary') return [];
  const versions = evidence.stored.summaries.filter(({ session_id: id }) => id === act.sessionId);
  const stored = messagesByMark(evidence);
  return versions.flatMap(({ version, content, last_message_id: last }) => {
    const what = `version ${version} (${marksIn(content).find((mark) => callOf(mark) >= 0) ?? ''})`;
    if (act.kind === 'delete-message') {
      return act.marks.some((mark) => content.includes(mark)) ? [`${what} tells of it`] : [];
    }
    const covers = act.marks.some(
      (mark) => (stored.get(mark)?.id ?? Infinity) <= last && content.includes(mark),
    );
    return covers && !content.includes(act.added) ? [`${what} tells it as it was`] : [];
  });
}

/**
 * A conversation that was closed stays closed: what is said later begins a new one. One that was
 * being begun when all of a chat were to be closed may not have been there yet.
 */
export function checkClosings({
  stored,
  closings,
}: Pick<Evidence, 'stored' | 'closings'>): Violation[] {
  const since = sessionsThereSince(stored);
  return closings.flatMap((closing) =>
    stored.sessions
      .filter(({ id, chat_id: chat }) =>
        closing.sessionId === undefined
          ? chat === closing.chat && (since.get(id) ?? Infinity) < closing.askedAt
          : id === closing.sessionId,
      )
      .flatMap((session) =>
        stored.turns
          .filter((turn) => turn.session_id === session.id && turn.created_at > closing.doneAt)
          .map((turn) => ({
            rule: 'a closed session is closed',
            chat: closing.chat,
            about: [session.id, ...saidIn(turn.text ?? '')],
            text: `turn ${turn.id} was opened in session ${session.id} after it was closed`,
          })),
      ),
  );
}

/** What was said before and after /start is never one conversation. */
export function checkStarts(evidence: Evidence): Violation[] {
  const stored = messagesByMark(evidence);
  const conversations = new Map<string, { conversation: number; mark: string }>();
  return evidence.said
    .filter(({ channel }) => channel === 'telegram')
    .flatMap(({ mark, chat, conversation }) => {
      const session = stored.get(mark)?.session_id;
      if (session === undefined) return [];
      const known = conversations.get(session) ?? { conversation, mark };
      conversations.set(session, known);
      if (known.conversation === conversation) return [];
      return {
        rule: 'a closed session is closed',
        chat,
        about: [mark, known.mark, session],
        text: `${known.mark} and ${mark} are in one session, though /start was said between them`,
      };
    });
}
