import { askedBy, chatOf, marksIn } from '../marks.ts';
import type { Forgetting, Said } from '../speech.ts';
import { listAnswered } from './evidence.ts';
import type { Evidence, Violation } from './evidence.ts';

/** What was erased is nowhere, and in no prompt of what was said later. */
export function checkForgotten(evidence: Evidence): Violation[] {
  const places = listPlaces(evidence);
  const answered = listAnswered(evidence);
  return evidence.forgettings
    .filter(({ known }) => known)
    .flatMap((forgetting) => {
      const { chat, doneAt } = forgetting;
      const gone = new Set(
        evidence.said.filter((words) => isOver(words, forgetting)).map(({ mark }) => mark),
      );
      const later = answered
        .filter(({ turn }) => turn.chat_id === chat && turn.created_at > doneAt)
        .map(({ prompt, call }) => ({
          name: `the prompt of call ${call}`,
          text: JSON.stringify(prompt),
        }));
      return [...places, ...later].flatMap(({ name, text }) => {
        const kept = marksIn(text).filter(
          (mark) => chatOf(mark) === chat && gone.has(askedBy(mark)),
        );
        if (kept.length === 0) return [];
        return {
          rule: 'what is forgotten is gone',
          chat,
          about: [...kept.slice(0, 3), 'forget'],
          text: `${name} holds ${kept.join(' ')}, which was forgotten`,
        };
      });
    });
}

/** Said, and answered every time that it was said: nothing of it is under way any more. */
function isOver({ chat, at, calls }: Said, { chat: forgotten, askedAt }: Forgetting): boolean {
  return (
    chat === forgotten &&
    at < askedAt &&
    calls.every(({ status, endedAt }) => status !== undefined && endedAt > 0 && endedAt < askedAt)
  );
}

function listPlaces({ stored, vectors, exports }: Evidence): { name: string; text: string }[] {
  return [
    ...stored.messages.map(({ id, content }) => ({ name: `message ${id}`, text: content })),
    ...stored.turns.map(({ id, text }) => ({ name: `turn ${id}`, text: text ?? '' })),
    ...stored.summaries.map(({ session_id: id, version, content }) => ({
      name: `version ${version} of session ${id}`,
      text: content,
    })),
    ...vectors.rows.map(({ id, content }) => ({ name: `memory ${id}`, text: content })),
    ...exports.map(({ chat, json }) => ({ name: `the export of chat ${chat}`, text: json })),
  ];
}
