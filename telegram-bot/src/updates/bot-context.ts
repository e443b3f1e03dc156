import { Context } from 'grammy/web';
import type { Api } from 'grammy/web';
import type { Update, UserFromGetMe } from 'grammy/types';
import { remark } from '#src/telegram/messages.ts';
import type { SendOptions } from '#src/telegram/messages.ts';
import { chatKey, isGroup, placeOf } from '#src/telegram/place.ts';
import type { Place } from '#src/telegram/place.ts';
import { trySend } from '#src/telegram/try-send.ts';
import { textsFor } from '#src/texts/texts.ts';
import type { Texts } from '#src/texts/texts.ts';

/** An update and what the features ask of it. */
export class BotContext extends Context {
  /** undefined where the update comes from no conversation. */
  readonly place: Place | undefined;
  readonly texts: Texts;
  /**
   * Set by whoever hands the update's words on: resolves when they are durably stored, with the
   * id of the last update that is stored with them.
   */
  stored: Promise<number> | undefined;

  constructor(update: Update, api: Api, me: UserFromGetMe) {
    super(update, api, me);
    this.place = findPlace(this);
    this.texts = textsFor(this.from?.language_code);
  }

  /** The backend's `chat_id`. */
  get key(): string {
    return this.place === undefined ? `update:${this.update.update_id}` : chatKey(this.place);
  }

  get inGroup(): boolean {
    return this.place !== undefined && isGroup(this.place);
  }

  /** Says something of the bot's own where the update came from; in groups as a reply. */
  async say(text: string, options: SendOptions = {}): Promise<void> {
    if (this.place === undefined) return;
    const replyTo = this.inGroup ? this.message?.message_id : undefined;
    await remark(this.api, this.place, text, { replyTo, ...options });
  }

  /** Ends the waiting of a pressed button. Telegram refuses it where the press is long past. */
  async acknowledge(text?: string): Promise<void> {
    await trySend(() => this.answerCallbackQuery({ text }), { patienceMs: 0 });
  }
}

function findPlace(ctx: Context): Place | undefined {
  const message = ctx.msg;
  if (message !== undefined) return placeOf(message);
  const stopped = ctx.update.stopped_message_generation;
  if (stopped !== undefined) {
    return { chatId: stopped.chat.id, threadId: stopped.message_thread_id };
  }
  return ctx.chat === undefined ? undefined : { chatId: ctx.chat.id };
}
