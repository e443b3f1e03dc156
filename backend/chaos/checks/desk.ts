import { saidIn } from '../marks.ts';
import { isDeleted } from './evidence.ts';
import type { Evidence, Violation } from './evidence.ts';

/** What an operator said is kept, once; and while they hold a chat the bot says nothing. */
export function checkDesk(evidence: Evidence): Violation[] {
  return [...checkSpoken(evidence), ...checkHoldings(evidence)];
}

function checkSpoken(evidence: Evidence): Violation[] {
  const deleted = isDeleted(evidence);
  const kept = evidence.stored.messages.flatMap(({ content }) => saidIn(content));
  return evidence.desk.spoken.flatMap(({ chat, mark }) => {
    const copies = kept.filter((each) => each === mark).length;
    if (copies === 1 || (copies === 0 && deleted(mark))) return [];
    const text = `the operator's words ${mark} were taken, and are there ${copies} times`;
    return { rule: 'never lost', chat, about: [mark], text };
  });
}

/** With a chat it is forgotten too that somebody holds it. */
function checkHoldings({ stored, desk, forgettings }: Evidence): Violation[] {
  const forgetful = new Set(forgettings.map(({ chat }) => chat));
  const holdings = desk.holdings.filter(({ chat }) => !forgetful.has(chat));
  return holdings.flatMap(({ chat, from, to }) =>
    stored.turns
      .filter(({ chat_id: of, state }) => of === chat && state === 'answered')
      .filter(({ ended_at: at }) => at !== null && at > from && at < to)
      .map(({ id }) => ({
        rule: 'a chat that is taken over is silent',
        chat,
        about: [`turn ${id} `],
        text: `turn ${id} was answered between ${asTime(from)} and ${asTime(to)}, while an operator held the chat`,
      })),
  );
}

function asTime(at: number): string {
  return new Date(at).toISOString().slice(11, 23);
}
