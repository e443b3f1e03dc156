import { askedBy, saidIn } from '../marks.ts';
import type { Said } from '../speech.ts';
import { isDeleted, isForgotten } from './evidence.ts';
import type { Traces, Violation } from './evidence.ts';

/** 6, and the promise behind it: what was accepted is never lost, and is processed once. */
export function checkAnswers(evidence: Traces): Violation[] {
  const { stored, said } = evidence;
  const deleted = isDeleted(evidence);
  const places = new Map<string, string[]>();
  const note = (mark: string, place: string) =>
    places.set(mark, [...(places.get(mark) ?? []), place]);
  for (const { id, role, content } of stored.messages) {
    if (role === 'user') for (const mark of saidIn(content)) note(mark, `message ${id}`);
  }
  for (const { id, text } of stored.turns) {
    for (const mark of saidIn(text ?? '')) note(mark, `turn ${id}`);
  }

  return said.flatMap((words) => {
    const found = places.get(words.mark) ?? [];
    const report = (rule: string, text: string) => ({
      rule,
      chat: words.chat,
      about: [words.mark],
      text: `${words.mark} ${text}`,
    });
    if (found.length > 1)
      return [report('processed once', `is there ${found.length} times: ${found.join(', ')}`)];
    if (found.length === 0 && wasAccepted(words) && !deleted(words.mark, keptAt(words))) {
      return [report('never lost', 'was accepted, and is nowhere')];
    }
    return checkReplies(evidence, words).map((problem) => report('one answer', problem));
  });
}

/** Telegram keeps what was not taken; it is all taken in the end. */
function wasAccepted({ channel, calls }: Said): boolean {
  return channel === 'telegram' || calls.some(({ accepted }) => accepted);
}

/** A call that was accepted found it there, or stored it, also where it was erased before. */
function keptAt({ at, calls }: Said): number {
  return Math.max(at, ...calls.filter(({ accepted }) => accepted).map((call) => call.at));
}

function checkReplies(evidence: Traces, { chat, mark, calls }: Said): string[] {
  const { stored } = evidence;
  // The same words, said again after that, are answered again.
  if (isForgotten(evidence)(mark)) return [];
  const deleted = isDeleted(evidence);
  const replies = calls.flatMap(({ reply }) => reply ?? []);
  const marks = new Set(replies.map(({ text }) => saidIn(text).join(' ')));
  if (marks.size > 1) return [`got several answers: ${[...marks].join(', ')}`];
  const [told] = replies;
  if (told === undefined) return [];
  const [own = ''] = saidIn(told.text);
  if (askedBy(own) !== mark) return [`got an answer to something else: ${own}`];
  if (deleted(own) || deleted(mark)) return [];
  const reply = stored.messages.find(({ id }) => id === Number(told.replyId));
  if (reply?.content.startsWith(own) !== true)
    return [
      `was answered with ${own}, and message ${told.replyId} is ${reply?.content ?? 'nowhere'}`,
    ];
  const turn = stored.turns.find(({ reply_message_id: id }) => id === reply.id);
  return turn?.chat_id === chat ? [] : [`was answered with ${own}, which is no reply of its chat`];
}
