import type { FakeTelegram } from '../../../telegram-bot/test/fake-telegram.ts';
import { askedBy, callOf, chatOf, isReply, saidIn } from '../marks.ts';
import type { ModelCall } from '../model.ts';
import type { Desk } from '../desk.ts';
import type { Act } from '../operator.ts';
import type { MemorySettings } from '../plan.ts';
import type { ChatPrompt } from '../prompt.ts';
import type { Closing, Forgetting, Said } from '../speech.ts';
import type { StoredVectors } from '../stored-vectors.ts';
import type { Stored, StoredMessage, StoredTurn } from '../stored.ts';

/** All that is known when everything is at rest. */
export interface Evidence {
  stored: Stored;
  calls: ModelCall[];
  said: Said[];
  closings: Closing[];
  forgettings: Forgetting[];
  acts: Act[];
  desk: Desk;
  vectors: StoredVectors;
  telegram: FakeTelegram;
  /** What the API gives out of each chat. */
  exports: { chat: string; json: string }[];
  settings: MemorySettings;
}

/** A promise that was broken. */
export interface Violation {
  /** The promise, in a few words. */
  rule: string;
  chat: string;
  /** Marks and ids: whatever mentions one of them belongs to the story. */
  about: string[];
  text: string;
}

/** A turn whose reply is there, with the prompt that led to it. */
export interface AnsweredTurn {
  turn: StoredTurn;
  reply: StoredMessage;
  prompt: ChatPrompt;
  call: number;
}

export function listAnswered({ stored, calls }: Evidence): AnsweredTurn[] {
  const messages = new Map(stored.messages.map((message) => [message.id, message]));
  return stored.turns.flatMap((turn) => {
    const reply = messages.get(turn.reply_message_id ?? -1);
    const call = callOf(saidIn(reply?.content ?? '').find(isReply) ?? '');
    const prompt = calls[call]?.prompt;
    return reply === undefined || prompt?.kind !== 'chat' ? [] : [{ turn, reply, prompt, call }];
  });
}

/** Messages whose turn failed or was stopped: no prompt and no summary may hold them. */
export function unansweredIds({ stored }: Evidence): Set<number> {
  return new Set(
    stored.turns
      .filter(({ state }) => state !== 'answered' && state !== 'silenced')
      .flatMap(({ user_message_id: id }) => (id === null ? [] : [id])),
  );
}

/** Where a mark stands; of what was deleted nothing. */
export function messagesByMark({ stored }: Evidence): Map<string, StoredMessage> {
  return new Map(
    stored.messages.flatMap((message) => saidIn(message.content).map((mark) => [mark, message])),
  );
}

/**
 * From when on a session was there for everyone: what is answered in it was stored before. What the
 * session's own row says is when it was begun, which others see only at its commit.
 */
export function sessionsThereSince(stored: Stored): Map<string, number> {
  const since = new Map<string, number>();
  for (const { session_id: id, state, ended_at: at } of stored.turns) {
    if (state !== 'answered' || at === null) continue;
    since.set(id, Math.min(at, since.get(id) ?? Infinity));
  }
  return since;
}

/** What tells whether something may be gone. */
export type Traces = Pick<Evidence, 'stored' | 'said' | 'desk' | 'forgettings' | 'acts'>;

/** Marks of messages that were deleted or forgotten, or may have been; with the replies to them. */
export function isDeleted(traces: Traces): (mark: string, keptAt?: number) => boolean {
  const deleted = new Set(
    traces.acts.filter(({ kind }) => kind === 'delete-message').flatMap(({ marks }) => marks),
  );
  const forgotten = isForgotten(traces);
  return (mark, keptAt) => deleted.has(mark) || forgotten(mark, keptAt);
}

/**
 * What may have been erased since it was said, or since `keptAt`, when it is known to have been
 * there: nothing is erased after the last forgetting of its chat is over.
 */
export function isForgotten(traces: Traces): (mark: string, keptAt?: number) => boolean {
  const { said, desk } = traces;
  const saidAt = new Map([...said, ...desk.spoken].map(({ mark, at }) => [mark, at]));
  const until = erasedUntil(traces);
  // When an operator said what was not confirmed, nobody noted.
  return (mark, keptAt = saidAt.get(askedBy(mark)) ?? 0) => keptAt < (until.get(chatOf(mark)) ?? 0);
}

/**
 * The server may carry out what its caller has given up: a process is paused for up to 24 s, its
 * connections hang for up to 6 s, and it gives a statement up after 30 s.
 */
const STILL_AT_WORK_MS = 60_000;

/**
 * When the last forgetting of a chat was over. One that nobody confirmed came, if it came, before
 * the first session that is left was there, because it takes all that are; and not much later than
 * its caller gave it up.
 */
function erasedUntil({ stored, forgettings }: Traces): Map<string, number> {
  const since = sessionsThereSince(stored);
  const leftSince = (chat: string) =>
    Math.min(
      ...stored.sessions
        .filter(({ chat_id: of }) => of === chat)
        .map(({ id }) => since.get(id) ?? Infinity),
    );
  const until = new Map<string, number>();
  for (const { chat, doneAt, known } of forgettings) {
    const end = known ? doneAt : Math.min(doneAt + STILL_AT_WORK_MS, leftSince(chat));
    until.set(chat, Math.max(end, until.get(chat) ?? 0));
  }
  return until;
}
