import { saidIn } from '../marks.ts';
import { listAnswered } from './evidence.ts';
import type { Evidence, Violation } from './evidence.ts';

/** Sent at most once by itself, never lost, and shown where it is not certain. */
export function checkDeliveries(evidence: Evidence): Violation[] {
  return listAnswered(evidence)
    .filter(({ reply }) => reply.delivery_channel === 'telegram')
    .flatMap(({ turn, reply }) => {
      const [mark = ''] = saidIn(reply.content);
      const visible = evidence.telegram.visible(Number(turn.chat_id));
      const copies = visible.filter(
        ({ text }) => text.includes(mark) && !text.endsWith(' ▍'),
      ).length;
      const flagged = visible.some(({ payload }) =>
        JSON.stringify(payload).includes(`"retry:${reply.id}"`),
      );
      const problem = findProblem(reply.delivery_state, copies, flagged);
      if (problem === undefined) return [];
      const about = [mark, ...saidIn(mark.replace(/r\d+/, ''))];
      const text = `reply ${reply.id} (${mark}) is ${reply.delivery_state}, and ${problem}`;
      return { rule: 'delivery', chat: turn.chat_id, about, text };
    });
}

function findProblem(state: string | null, copies: number, flagged: boolean): string | undefined {
  if (copies > 1) return `stands ${copies} times in the chat`;
  if (state === 'sent') return copies === 1 ? undefined : 'is not in the chat';
  if (state !== 'uncertain') return 'was not brought to an end';
  return flagged ? undefined : 'the user is not told so';
}
