import type { Evidence, Violation } from './checks/evidence.ts';
import { saidIn } from './marks.ts';
import type { History, HistoryEvent } from './history.ts';

/** Lines. */
const LONGEST = 40;
/** What broke just before or after something may be its cause. */
const MARGIN_MS = 1_500;

/** The shortest log that shows a violation: what concerns it, and what broke meanwhile. */
export function tellShortest(
  violations: Violation[],
  history: History,
  stored: Evidence['stored'],
): string {
  const events = [...history.events, ...storedEvents(stored)];
  const stories = violations.map((violation) => tell(violation, events));
  const [shortest] = stories.sort((a, b) => rank(a) - rank(b));
  return shortest?.join('\n') ?? '';
}

/** By length; one of which nothing is known tells nothing. */
function rank(story: string[]): number {
  return story.length === 1 ? LONGEST + 3 : story.length;
}

function tell({ rule, chat, about, text }: Violation, events: HistoryEvent[]): string[] {
  const own = events
    .filter((event) => event.chat === chat && about.some((item) => event.text.includes(item)))
    .filter((event) => rule !== 'delivery' || !/summarises|version/.test(event.text));
  const around = events.filter(
    (event) =>
      event.chat === undefined && own.some(({ at }) => Math.abs(event.at - at) < MARGIN_MS),
  );
  const all = [...own, ...around].sort((a, b) => a.at - b.at);
  const left = all.length - LONGEST;
  const shown = left <= 0 ? all : [...all.slice(0, LONGEST / 2), ...all.slice(-LONGEST / 2)];
  const lines = shown.map(
    ({ at, text: what }) => `${new Date(at).toISOString().slice(11, 23)} ${shorten(what)}`,
  );
  if (left > 0) lines.splice(LONGEST / 2, 0, `             … ${left} more …`);
  return [`${rule} (chat ${chat}): ${text}`, ...lines];
}

function shorten(text: string): string {
  return text.length <= 220 ? text : `${text.slice(0, 140)} … ${text.slice(-70)}`;
}

/** When what is in the database came there. */
function storedEvents({
  sessions,
  turns,
  messages,
  summaries,
}: Evidence['stored']): HistoryEvent[] {
  const chats = new Map(sessions.map(({ id, chat_id: chat }) => [id, chat]));
  const contents = new Map(messages.map(({ id, content }) => [id, content]));
  const marks = (id: number | null) => saidIn(contents.get(id ?? -1) ?? '').join(' ');
  return [
    ...turns.flatMap((turn) => {
      const name = `stored: turn ${turn.id} of ${marks(turn.user_message_id)} (message ${turn.user_message_id}, session ${turn.session_id})`;
      const end = `${name} ends ${turn.state} at attempt ${turn.attempts} with ${marks(turn.reply_message_id)} (message ${turn.reply_message_id}) ${turn.error ?? ''}`;
      return [
        { at: turn.created_at, chat: turn.chat_id, text: `${name} begins` },
        ...(turn.ended_at === null ? [] : [{ at: turn.ended_at, chat: turn.chat_id, text: end }]),
      ];
    }),
    ...summaries.map((summary) => ({
      at: summary.created_at,
      chat: chats.get(summary.session_id),
      text: `stored: version ${summary.version} of session ${summary.session_id}, through message ${summary.last_message_id}: ${summary.content}`,
    })),
  ];
}
