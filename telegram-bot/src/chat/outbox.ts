import { setTimeout as sleep } from 'node:timers/promises';
import type { Delivery } from '#src/backend/backend.ts';
import { describeError } from '#src/telegram/describe-error.ts';
import { parseChatKey } from '#src/telegram/place.ts';
import { textsFor } from '#src/texts/texts.ts';
import type { Chat } from './chat.ts';
import { deliver, flagUncertain } from './deliver.ts';

const WAIT_SECONDS = 25;
const PAUSE_MS = 1_000;

/**
 * Sends what nobody waits for: answers whose bot crashed or hung up, an operator's own words.
 * Runs until the process is told to stop.
 */
export async function workOutbox(chat: Chat): Promise<void> {
  while (!chat.stop.aborted) {
    try {
      const deliveries = await chat.backend.deliveries(WAIT_SECONDS, chat.stop);
      for (const delivery of deliveries) {
        chat.background.run('outbox', takeDelivery(chat, delivery));
      }
    } catch (error) {
      if (chat.stop.aborted) return;
      chat.logger.debug(describeError(error), 'outbox: will ask again');
      await sleep(PAUSE_MS, undefined, { signal: chat.stop }).catch(() => {});
    }
  }
}

async function takeDelivery(chat: Chat, delivery: Delivery): Promise<void> {
  const place = parseChatKey(delivery.chat_id);
  if (place === undefined) {
    const error = `${delivery.chat_id} is not a chat of Telegram`;
    await chat.backend.mark(delivery.message_id, { state: 'failed', error });
    return;
  }
  // Whose language the chat speaks is not known here.
  const texts = textsFor(undefined);
  const answer = { id: delivery.message_id, text: delivery.text, place, texts };
  if (delivery.state === 'pending') await deliver(chat, answer);
  else if (!chat.beingSent.has(answer.id)) {
    chat.beingSent.add(answer.id);
    await flagUncertain(chat, answer, 'its sender went silent').finally(() =>
      chat.beingSent.delete(answer.id),
    );
  }
}
