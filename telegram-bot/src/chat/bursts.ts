import { createLanes } from '#src/lanes.ts';

/** One message of somebody, as it came from Telegram. */
export interface Words {
  /** The backend's `chat_id`. */
  chat: string;
  userId: string;
  updateId: number;
  messageId: number;
  /** Seconds since 1970. */
  date: number;
  text: string;
  /** Stands before the first text of a turn: who speaks. */
  prefix?: string;
}

/** Whether the backend has the turn now; `mismatch`: it knows the first message with other words. */
export type HandOver<W extends Words> = (
  words: W[],
  turn: { text: string; messageId: string },
) => Promise<'taken' | 'mismatch'>;

export interface Bursts<W extends Words> {
  /** Resolves when the words are durably stored, with the update id of the last message stored with them. */
  add(words: W): Promise<number>;
  /** Resolves when everything that was added for the chat is stored. */
  settle(chat: string): Promise<void>;
}

/** Telegram cuts a long paste at this length and sends the pieces one after another. */
const CUT_AT = 4096;
/** A cut may fall on a space before the limit. */
const LOOKS_CUT = 3_900;
const NEXT_PIECE_WITHIN_MS = 1_000;
/** The backend takes 32,000 characters. */
const LONGEST_TURN = 31_000;

interface Part<W> {
  words: W;
  stored: PromiseWithResolvers<number>;
}

/**
 * Makes one turn of messages that come within `windowMs` of one another, and hands the turns of a
 * chat over one at a time.
 *
 * A turn's id comes from the first message of its burst. After a crash Telegram sends again what
 * was not confirmed, and it may be grouped otherwise: the first message may already be stored
 * together with fewer others. The backend then says `mismatch`, and the burst is tried with fewer
 * messages until it is the one that was stored; the rest is a turn of its own. No confirmation
 * ever splits a burst (the poller sees to it), so its first message comes again too, and what was
 * stored is found again; should it not be, a new id keeps the words.
 */
export function createBursts<W extends Words>(windowMs: number, handOver: HandOver<W>): Bursts<W> {
  const lanes = createLanes();
  const open = new Map<string, { parts: Part<W>[]; timer: NodeJS.Timeout }>();

  function close(chat: string): void {
    const burst = open.get(chat);
    if (burst === undefined) return;
    open.delete(chat);
    clearTimeout(burst.timer);
    void lanes.run(chat, () => store(burst.parts));
  }

  /** Never rejects: each part hears how it went. */
  async function store(parts: Part<W>[]): Promise<void> {
    try {
      const count = await storeFirst(parts.map((part) => part.words));
      const through = parts[count - 1]?.words.updateId ?? 0;
      for (const part of parts.slice(0, count)) part.stored.resolve(through);
      if (count < parts.length) await store(parts.slice(count));
    } catch (error) {
      for (const part of parts) part.stored.reject(error);
    }
  }

  /** Stores a turn that begins with the first words. Returns how many of them are in it. */
  async function storeFirst(words: W[]): Promise<number> {
    const messageId = `tg:${words[0]?.chat}:${words[0]?.messageId}`;
    const fewer = Array.from({ length: words.length - 1 }, (_, index) => index + 1);
    for (const count of [words.length, ...fewer]) {
      const some = words.slice(0, count);
      if ((await handOver(some, { text: joinWords(some), messageId })) === 'taken') return count;
    }
    await handOver(words, { text: joinWords(words), messageId: `${messageId}:again` });
    return words.length;
  }

  return {
    add(words) {
      const before = open.get(words.chat)?.parts.map((part) => part.words) ?? [];
      if (!belongs(words, before)) close(words.chat);
      const part = { words, stored: Promise.withResolvers<number>() };
      const known = open.get(words.chat);
      clearTimeout(known?.timer);
      const wait = looksCut(words) ? Math.max(windowMs, NEXT_PIECE_WITHIN_MS) : windowMs;
      open.set(words.chat, {
        parts: [...(known?.parts ?? []), part],
        timer: setTimeout(close, wait, words.chat),
      });
      if (windowMs === 0) close(words.chat);
      return part.stored.promise;
    },
    async settle(chat) {
      close(chat);
      await lanes.run(chat, async () => {});
    },
  };
}

/** Dates are whole seconds; what came together after an outage may have been written hours apart. */
function belongs(words: Words, before: Words[]): boolean {
  const last = before.at(-1);
  if (last === undefined) return true;
  const length = before.reduce((sum, { text }) => sum + text.length + 1, words.text.length);
  return words.userId === last.userId && words.date - last.date <= 1 && length <= LONGEST_TURN;
}

function looksCut(words: Words): boolean {
  return words.text.length >= LOOKS_CUT;
}

function joinWords(words: Words[]): string {
  const text = words.reduce((all, { text: next }, index) => {
    if (index === 0) return next;
    return words[index - 1]?.text.length === CUT_AT ? all + next : `${all}\n${next}`;
  }, '');
  return (words[0]?.prefix ?? '') + text;
}
