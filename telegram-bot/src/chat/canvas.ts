import { InlineKeyboard } from 'grammy/web';
import type { Api } from 'grammy/web';
import { renderPreview } from '#src/markdown/preview.ts';
import { forGrammy } from '#src/telegram/api.ts';
import { sendParameters } from '#src/telegram/messages.ts';
import type { Place } from '#src/telegram/place.ts';
import { retryAfterSeconds } from '#src/telegram/try-send.ts';
import type { Canvas } from './preview.ts';

/** What a pressed Stop button says. */
export const STOP_BUTTON = 'stop';

/** The answer itself waits for a preview that is on its way. */
const timeout = () => forGrammy(AbortSignal.timeout(10_000));

/**
 * A message that grows by edits. Where its first send fails it is given up: whether that message
 * exists is not known, and a second one might stand beside it.
 */
export function messageCanvas(
  api: Api,
  place: Place,
  { replyTo, stopLabel }: { replyTo?: number; stopLabel: string },
): Canvas {
  const keyboard = new InlineKeyboard().text(`⏹ ${stopLabel}`, STOP_BUTTON);
  let messageId: number | undefined;
  let lost = false;
  let shown = '';

  return {
    messageId: () => messageId,
    async show(markdown) {
      const { text, entities } = renderPreview(markdown);
      if (lost || text === shown) return false;
      shown = text;
      if (messageId === undefined) {
        const other = { ...sendParameters(place, { replyTo, keyboard }), entities };
        try {
          messageId = (await api.sendMessage(place.chatId, text, other, timeout())).message_id;
        } catch (error) {
          lost = retryAfterSeconds(error) === undefined;
          throw error;
        }
      } else {
        const other = { entities, reply_markup: keyboard };
        await api.editMessageText(place.chatId, messageId, text, other, timeout());
      }
      return true;
    },
  };
}

/** Telegram's own draft, which vanishes by itself when the answer is sent. Private chats only. */
export function draftCanvas(api: Api, place: Place, draftId: number): Canvas {
  return {
    messageId: () => undefined,
    async show(markdown) {
      const { text, entities } = renderPreview(markdown);
      const stopButton = { can_stop: true, keep_on_stop: true };
      const other = { message_thread_id: place.threadId, entities, ...stopButton };
      await api.sendMessageDraft(place.chatId, draftId, text, other, timeout());
      return true;
    },
  };
}
