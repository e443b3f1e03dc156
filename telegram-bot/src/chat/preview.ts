import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from 'grammy/web';
import { isGroup } from '#src/telegram/place.ts';
import type { Place } from '#src/telegram/place.ts';
import { retryAfterSeconds } from '#src/telegram/try-send.ts';

/** Shows an answer while it is written. Nothing depends on it: whatever fails, the answer comes. */
export interface Preview {
  /** From now on it may be seen: what stands before it in the chat is sent. Until then, only typing is. */
  begin(): void;
  append(text: string): void;
  /** The answer is written anew from its beginning. */
  restart(): void;
  /** Ends it. Returns the id of the message that it leaves in the chat, where there is one. */
  finish(): Promise<number | undefined>;
}

/** How half an answer is put into the chat: as a message that is edited, or as a native draft. */
export interface Canvas {
  /** Shows the text so far. Returns false where the text no longer changes what is seen. */
  show(text: string): Promise<boolean>;
  messageId(): number | undefined;
}

/** A short answer is there before a preview of it would be. */
const EVERY_MS = 1_000;
/** Telegram allows twenty messages a minute in a group, edits among them. */
const EVERY_MS_IN_GROUP = 3_000;
/** All previews together stay below Telegram's thirty calls a second. */
const EVERY_MS_EACH = 50;
/** Telegram shows "typing" for five seconds. */
const TYPING_EVERY_MS = 4_500;
const GIVE_UP_AFTER_FAILURES = 3;

/** `all` holds the previews that are running. */
export function startPreview(api: Api, place: Place, canvas: Canvas, all: Set<Canvas>): Preview {
  let text = '';
  let shown = '';
  let begun = false;
  let seesGrowth = false;
  let typedAt = -Infinity;
  let failures = 0;
  let notBefore = 0;
  const ended = new AbortController();

  const every = isGroup(place) ? EVERY_MS_IN_GROUP : EVERY_MS;
  const tick = () => Math.max(every, all.size * EVERY_MS_EACH);
  all.add(canvas);
  const loop = keepShowing().finally(() => all.delete(canvas));

  async function keepShowing(): Promise<void> {
    while (!ended.signal.aborted) {
      // What fails here is only not seen.
      await look().catch(noteFailure);
      await sleep(tick(), undefined, { signal: ended.signal }).catch(() => {});
    }
  }

  async function look(): Promise<void> {
    if (Date.now() < notBefore) return;
    const isNew = begun && text.trim() !== '' && text !== shown;
    if (isNew && failures < GIVE_UP_AFTER_FAILURES) {
      shown = text;
      seesGrowth = await canvas.show(text);
      failures = 0;
    } else if (!seesGrowth && Date.now() - typedAt >= TYPING_EVERY_MS) {
      typedAt = Date.now();
      await api.sendChatAction(place.chatId, 'typing', { message_thread_id: place.threadId });
    }
  }

  function noteFailure(error: unknown): void {
    const seconds = retryAfterSeconds(error);
    if (seconds === undefined) failures += 1;
    else notBefore = Date.now() + seconds * 1_000;
  }

  return {
    begin() {
      begun = true;
    },
    append(piece) {
      text += piece;
    },
    restart() {
      text = '';
    },
    async finish() {
      ended.abort();
      await loop;
      return canvas.messageId();
    },
  };
}
