import type { Api, InlineKeyboard } from 'grammy/web';
import { plain } from './formatted.ts';
import type { Formatted } from './formatted.ts';
import type { Place } from './place.ts';
import { trySend } from './try-send.ts';
import type { Outcome } from './try-send.ts';

/** How long an answer waits for Telegram to take it. */
const PATIENCE_MS = 120_000;
/** How long a remark of the bot's own does: it is worth less than being quick for the next message. */
const REMARK_PATIENCE_MS = 20_000;

export interface SendOptions {
  /** The message that is answered; where it is gone, the answer stands on its own. */
  replyTo?: number;
  keyboard?: InlineKeyboard;
}

/** What both `sendMessage` and the editing of a message are given. */
export function sendParameters(place: Place, { replyTo, keyboard }: SendOptions = {}) {
  return {
    message_thread_id: place.threadId,
    reply_markup: keyboard,
    reply_parameters:
      replyTo === undefined
        ? undefined
        : { message_id: replyTo, allow_sending_without_reply: true },
  };
}

/** Sends one message. Where Telegram refuses it for its shape, it goes without. Returns its id. */
export async function sendFormatted(
  api: Api,
  place: Place,
  { text, entities }: Formatted,
  options: SendOptions & { stop?: AbortSignal; patienceMs?: number } = {},
): Promise<Outcome<number>> {
  const parameters = sendParameters(place, options);
  const send = (shape: Formatted['entities']) => async () => {
    const other = shape.length === 0 ? parameters : { ...parameters, entities: shape };
    return (await api.sendMessage(place.chatId, text, other)).message_id;
  };
  const patience = { patienceMs: options.patienceMs ?? PATIENCE_MS, stop: options.stop };
  const outcome = await trySend(send(entities), patience);
  const misshapen = outcome.kind === 'refused' && entities.length > 0;
  return misshapen && /entit/i.test(outcome.reason) ? await trySend(send([]), patience) : outcome;
}

/**
 * Says something of the bot's own: once, and lost where it cannot be sent. With `insist` it is
 * said again where it may not have been heard: twice is better than never. False where it may be
 * lost; true also where Telegram refuses it for good.
 */
export async function remark(
  api: Api,
  place: Place,
  text: string,
  options: SendOptions & { insist?: boolean } = {},
): Promise<boolean> {
  const patience = { ...options, patienceMs: REMARK_PATIENCE_MS };
  for (let attempt = 1; attempt <= (options.insist ? 3 : 1); attempt += 1) {
    const outcome = await sendFormatted(api, place, plain(text), patience);
    if (outcome.kind !== 'unknown') return outcome.kind !== 'unsent';
  }
  return false;
}
