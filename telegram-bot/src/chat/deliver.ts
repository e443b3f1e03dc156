import { InlineKeyboard } from 'grammy/web';
import type { DeliveryMark } from '#src/backend/backend.ts';
import { persist } from '#src/backend/persist.ts';
import { renderMarkdown } from '#src/markdown/render.ts';
import { splitFormatted } from '#src/markdown/split.ts';
import { describeError } from '#src/telegram/describe-error.ts';
import { remark, sendFormatted } from '#src/telegram/messages.ts';
import { chatKey } from '#src/telegram/place.ts';
import type { Place } from '#src/telegram/place.ts';
import type { Outcome } from '#src/telegram/try-send.ts';
import type { Texts } from '#src/texts/texts.ts';
import type { Chat } from './chat.ts';
import { replacePreview } from './replace-preview.ts';

/** An answer on its way to a chat. */
export interface Answer {
  /** The backend's id of it. */
  id: string;
  /** Of the turn it answers, for the log; the outbox does not know it. */
  requestId?: string;
  text: string;
  place: Place;
  texts: Texts;
  /** The user's message that it answers. */
  replyTo?: number;
  /** A message that showed the answer growing: it becomes the answer's first. */
  previewId?: number;
}

/** What a Retry button says before the answer's id. */
export const RETRY_BUTTON = 'retry:';

const CLAIM_PATIENCE_MS = 30_000;
const MARK_PATIENCE_MS = 300_000;

/**
 * Sends an answer, at most once: only one worker is given it, in the order of the chat, and a
 * send whose outcome is not known is not repeated, but shown to the user with a button to do so.
 * False where another worker has it, or it is not its turn: the outbox brings it again.
 */
export async function deliver(chat: Chat, answer: Answer): Promise<boolean> {
  return await chat.sending.run(chatKey(answer.place), async () => {
    if (!(await claim(chat, answer.id))) return false;
    chat.beingSent.add(answer.id);
    try {
      await conclude(chat, answer, await send(chat, answer));
    } finally {
      chat.beingSent.delete(answer.id);
    }
    return true;
  });
}

/**
 * Tells the user that an answer may not have arrived, and notes it. Where they may not have heard
 * it, nothing is noted: the answer stays as being sent, and the outbox brings it up again.
 */
export async function flagUncertain(chat: Chat, answer: Answer, reason: string): Promise<void> {
  const keyboard = new InlineKeyboard().text(answer.texts.sendAgain, RETRY_BUTTON + answer.id);
  const text = `⚠️ ${answer.texts.uncertain}`;
  const told = await remark(chat.api, answer.place, text, { keyboard, insist: true });
  if (told) await mark(chat, answer.id, { state: 'uncertain', error: reason });
}

/**
 * Where the backend did not say whether the mark was made, the answer is left alone: either it is
 * still pending, or the outbox will say that its sender went silent.
 */
async function claim(chat: Chat, id: string): Promise<boolean> {
  const patience = { patienceMs: CLAIM_PATIENCE_MS, stop: chat.stop };
  try {
    return await persist(
      () => chat.backend.mark(id, { state: 'sending', in_order: true }),
      patience,
    );
  } catch (error) {
    chat.logger.info({ reply_message_id: id, ...describeError(error) }, 'answer not claimed');
    return false;
  }
}

async function send(chat: Chat, answer: Answer): Promise<Outcome<number>> {
  const [first, ...rest] = splitFormatted(renderMarkdown(answer.text));
  if (first === undefined) return { kind: 'refused', reason: 'there is nothing to send' };
  const { api, stop } = chat;
  const options = { stop, replyTo: answer.replyTo };
  const start =
    answer.previewId === undefined
      ? await sendFormatted(api, answer.place, first, options)
      : await replacePreview(api, answer.place, answer.previewId, first, options);
  for (const piece of rest) {
    if (start.kind !== 'done') break;
    const next = await sendFormatted(api, answer.place, piece);
    // The first messages are there already: what was surely not sent is not known to be whole.
    if (next.kind !== 'done') return { kind: 'unknown', reason: `cut short: ${next.reason}` };
  }
  return start;
}

async function conclude(chat: Chat, answer: Answer, outcome: Outcome<number>): Promise<void> {
  const { id } = answer;
  chat.logger.info(
    {
      chat_id: chatKey(answer.place),
      request_id: answer.requestId,
      reply_message_id: id,
      outcome: outcome.kind,
      reason: outcome.kind === 'done' ? undefined : outcome.reason,
    },
    'answer sent',
  );
  switch (outcome.kind) {
    case 'done':
      return await mark(chat, id, { state: 'sent', channel_message_id: String(outcome.value) });
    case 'unknown':
      return await flagUncertain(chat, answer, outcome.reason);
    case 'unsent':
      return await mark(chat, id, { state: 'pending', error: outcome.reason });
    case 'refused':
      return await mark(chat, id, { state: 'failed', error: outcome.reason });
  }
}

async function mark(chat: Chat, id: string, made: DeliveryMark): Promise<void> {
  try {
    await persist(() => chat.backend.mark(id, made), { patienceMs: MARK_PATIENCE_MS });
  } catch (error) {
    // It stays as being sent, and the outbox will bring it up.
    const what = { reply_message_id: id, state: made.state, ...describeError(error) };
    chat.logger.warn(what, 'mark lost');
  }
}
