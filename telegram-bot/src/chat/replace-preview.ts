import type { Api } from 'grammy/web';
import type { Formatted } from '#src/telegram/formatted.ts';
import { sendFormatted } from '#src/telegram/messages.ts';
import type { SendOptions } from '#src/telegram/messages.ts';
import type { Place } from '#src/telegram/place.ts';
import { trySend } from '#src/telegram/try-send.ts';
import type { Outcome } from '#src/telegram/try-send.ts';

const EDIT_PATIENCE_MS = 8_000;
const DELETE_PATIENCE_MS = 30_000;
const TRIES = 2;

/**
 * Makes the preview the answer's first message. Editing can be repeated, so an edit of unknown
 * outcome is; where it cannot be made, the preview is taken away and the message is sent anew,
 * so that the answer stands there once.
 */
export async function replacePreview(
  api: Api,
  place: Place,
  previewId: number,
  message: Formatted,
  options: SendOptions & { stop?: AbortSignal },
): Promise<Outcome<number>> {
  const edited = await edit(api, place, previewId, message, options.stop);
  if (edited.kind === 'done') return edited;
  const removed = await removeMessage(api, place, previewId);
  if (edited.kind === 'unknown' && !removed) return edited;
  return await sendFormatted(api, place, message, options);
}

/** True where the message is surely not there any more. */
export async function removeMessage(api: Api, place: Place, messageId: number): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await trySend(() => api.deleteMessage(place.chatId, messageId), {
      patienceMs: DELETE_PATIENCE_MS,
    });
    if (outcome.kind !== 'unknown' || attempt === TRIES) {
      return outcome.kind === 'done' || outcome.kind === 'refused';
    }
  }
}

async function edit(
  api: Api,
  place: Place,
  messageId: number,
  { text, entities }: Formatted,
  stop: AbortSignal | undefined,
): Promise<Outcome<number>> {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await trySend(
      () => api.editMessageText(place.chatId, messageId, text, { entities }),
      { patienceMs: EDIT_PATIENCE_MS, stop },
    );
    if (outcome.kind === 'done') return { kind: 'done', value: messageId };
    if (outcome.kind === 'refused' && outcome.reason.includes('not modified')) {
      return { kind: 'done', value: messageId };
    }
    if (outcome.kind !== 'unknown' || attempt === TRIES) return outcome;
  }
}
