import { saidIn } from '../marks.ts';
import { listAnswered } from './evidence.ts';
import type { Evidence, Violation } from './evidence.ts';

/** Every reply answers its own message, turns stand in the order of arrival, and every refusal has its reason. */
export function checkTurns(evidence: Evidence): Violation[] {
  return [
    ...findOrphans(evidence),
    ...findMixedUp(evidence),
    ...findDisordered(evidence),
    ...findUndocumented(evidence),
  ];
}

function findOrphans({ stored }: Evidence): Violation[] {
  const sessions = new Map(stored.sessions.map((session) => [session.id, session.chat_id]));
  const replied = new Set(stored.turns.map(({ reply_message_id: id }) => id));
  return stored.messages
    .filter(({ id, role }) => role === 'assistant' && !replied.has(id))
    .filter(({ content }) => !/:op\d+\}/.test(content))
    .map(({ id, session_id: session, content }) => ({
      rule: 'one answer',
      chat: sessions.get(session) ?? '',
      about: saidIn(content),
      text: `message ${id} is the reply of no turn: ${content}`,
    }));
}

function findMixedUp(evidence: Evidence): Violation[] {
  const messages = new Map(evidence.stored.messages.map((message) => [message.id, message]));
  return listAnswered(evidence).flatMap(({ turn, prompt, reply }) => {
    const own = saidIn(messages.get(turn.user_message_id ?? -1)?.content ?? '');
    const asked = saidIn(prompt.asked);
    if (own.length === 0 || own.join() === asked.join()) return [];
    return {
      rule: 'one answer',
      chat: turn.chat_id,
      about: [...own, ...asked],
      text: `the reply ${reply.id} to ${own.join(' ')} was written for ${asked.join(' ')}`,
    };
  });
}

/** The bot hands the messages of a chat over one after another. */
function findDisordered({ stored, said }: Evidence): Violation[] {
  const messages = new Map(stored.messages.map(({ id, content }) => [id, content]));
  const order = new Map(said.map(({ mark }, index) => [mark, index]));
  const newest = new Map<string, string>();
  return stored.turns
    .filter(({ client_message_id: id }) => id?.startsWith('tg:'))
    .flatMap(({ id, chat_id: chat, user_message_id: message, text }) => {
      const marks = saidIn(text ?? messages.get(message ?? -1) ?? '');
      const before = newest.get(chat) ?? '';
      newest.set(chat, marks.at(-1) ?? before);
      const isLate = marks.some((mark) => (order.get(mark) ?? 0) < (order.get(before) ?? -1));
      if (!isLate) return [];
      const what = `turn ${id} holds ${marks.join(' ')}, after ${before} was stored`;
      return { rule: 'in order of arrival', chat, about: [...marks, before], text: what };
    });
}

/** A caller is told what is wrong; 500 is no answer. */
function findUndocumented({ said }: Evidence): Violation[] {
  return said
    .filter(({ calls }) => calls.some(({ code }) => code === 'internal_error'))
    .map(({ chat, mark }) => ({
      rule: 'every failure has its reason',
      chat,
      about: [mark],
      text: `${mark} was answered with internal_error`,
    }));
}
