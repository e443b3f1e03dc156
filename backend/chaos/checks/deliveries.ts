import { askedBy, saidIn } from '../marks.ts';
import type { Evidence, Violation } from './evidence.ts';

/** Sent at most once by itself, never lost, and shown where it is not certain. */
export function checkDeliveries({ stored, telegram, desk }: Evidence): Violation[] {
  const chats = new Map(stored.sessions.map(({ id, chat_id: chat }) => [id, chat]));
  return stored.messages
    .filter(({ delivery_channel: channel }) => channel === 'telegram')
    .flatMap(({ id, session_id: session, content, delivery_state: state }) => {
      const chat = chats.get(session) ?? '';
      const [mark = ''] = saidIn(content);
      const visible = telegram.visible(Number(chat));
      const shown = visible.filter(({ text }) => text.includes(mark) && !text.endsWith(' ▍'));
      const flagged = visible.some(({ payload }) =>
        JSON.stringify(payload).includes(`"retry:${id}"`),
      );
      const resent = desk.resent.filter((message) => message === id).length;
      const problem = findProblem(state, { copies: shown.length, resent, flagged });
      if (problem === undefined) return [];
      const about = [mark, askedBy(mark), `message ${id}`];
      const text = `message ${id} (${mark}) is ${state}, and ${problem}`;
      return { rule: 'delivery', chat, about, text };
    });
}

function findProblem(
  state: string | null,
  { copies, resent, flagged }: { copies: number; resent: number; flagged: boolean },
): string | undefined {
  if (copies > 1 + resent) return `stands ${copies} times in the chat`;
  if (state === 'sent') return copies > 0 ? undefined : 'is not in the chat';
  if (state !== 'uncertain') return 'was not brought to an end';
  return flagged ? undefined : 'the user is not told so';
}
