import { randomUUID } from 'node:crypto';
import type { Turn, TurnEvent } from '#src/backend/backend.ts';
import { persist } from '#src/backend/persist.ts';
import { BackendProblem, BackendUnavailable } from '#src/backend/problem.ts';
import { describeError } from '#src/telegram/describe-error.ts';
import { remark } from '#src/telegram/messages.ts';
import { isGroup } from '#src/telegram/place.ts';
import type { Place } from '#src/telegram/place.ts';
import type { Texts } from '#src/texts/texts.ts';
import type { Words } from './bursts.ts';
import { draftCanvas, messageCanvas } from './canvas.ts';
import type { Chat } from './chat.ts';
import { deliver } from './deliver.ts';
import { startPreview } from './preview.ts';
import type { Preview } from './preview.ts';
import { describeProblem } from './problem-texts.ts';
import { removeMessage } from './replace-preview.ts';

/** One message that is to be answered. */
export interface Incoming extends Words {
  place: Place;
  texts: Texts;
}

/** An answer whose stream broke off is asked for again this long; then the outbox brings it. */
const REJOIN_PATIENCE_MS = 120_000;
/** Who sends too much is not told so with every message. */
const REFUSAL_EVERY_MS = 5_000;

/**
 * Hands a turn to the backend. Resolves as soon as it is durably stored there, or refused for
 * good, which the user is told; the answer follows by itself. Tries until the backend is there.
 */
export async function converse(
  chat: Chat,
  words: Incoming[],
  { text, messageId }: { text: string; messageId: string },
): Promise<'taken' | 'mismatch'> {
  const last = words.at(-1);
  if (last === undefined) return 'taken';
  const turn = { chatId: last.chat, userId: last.userId, text, messageId, requestId: randomUUID() };
  try {
    const { events, silent } = await persist(() => open(chat, turn), { stop: chat.stop });
    if (silent) await events.return(undefined);
    else chat.background.run('answer', answer(chat, turn, last, events));
  } catch (error) {
    if (!(error instanceof BackendProblem)) throw error;
    if (error.code === 'idempotency_mismatch') return 'mismatch';
    chat.logger.info(
      { chat_id: last.chat, request_id: turn.requestId, code: error.code },
      'turn refused',
    );
    await explain(chat, last, error);
  }
  return 'taken';
}

/** The events after the turn is stored. `silent`: an operator holds the chat, nothing will come. */
async function open(
  chat: Chat,
  turn: Turn,
): Promise<{ events: AsyncGenerator<TurnEvent>; silent: boolean }> {
  // A process that stops lets its answers finish, so `stop` does not hang up.
  const events = chat.backend.handle(turn, new AbortController().signal);
  const { value: accepted } = await events.next();
  return { events, silent: accepted?.kind === 'accepted' && accepted.silent };
}

async function answer(
  chat: Chat,
  turn: Turn,
  last: Incoming,
  events: AsyncGenerator<TurnEvent>,
): Promise<void> {
  const { place, texts, messageId: replyTo } = last;
  const preview = startPreview(chat.api, place, canvasFor(chat, last), chat.previews);
  const over = Promise.withResolvers<void>();
  const turnInChat = chat.answering.run(last.chat, async () => {
    preview.begin();
    await over.promise;
  });
  try {
    const reply = await follow(chat, turn, events, preview);
    const previewId = await preview.finish();
    const isOurs =
      reply.type === 'message' &&
      reply.delivery === 'pending' &&
      (await deliver(chat, {
        id: reply.reply_message_id,
        requestId: turn.requestId,
        text: reply.text,
        place,
        texts,
        replyTo: isGroup(place) ? replyTo : undefined,
        previewId,
      }));
    if (!isOurs) await takeAway(chat, place, previewId);
  } catch (error) {
    await takeAway(chat, place, await preview.finish());
    if (error instanceof BackendProblem) return await explain(chat, last, error);
    if (!(error instanceof BackendUnavailable)) throw error;
    chat.logger.info({ chat_id: last.chat }, 'answer left to the outbox');
  } finally {
    over.resolve();
  }
  await turnInChat;
}

/** Follows the answer to its end; where its stream breaks off, it is asked for again. */
async function follow(chat: Chat, turn: Turn, events: AsyncGenerator<TurnEvent>, preview: Preview) {
  for (let source = events; ;) {
    try {
      for await (const event of source) {
        if (event.kind === 'delta') preview.append(event.text);
        if (event.kind === 'message') return event.reply;
      }
    } catch (error) {
      if (!(error instanceof BackendUnavailable)) throw error;
    }
    preview.restart();
    const patience = { patienceMs: REJOIN_PATIENCE_MS, stop: chat.stop };
    source = (await persist(() => open(chat, turn), patience)).events;
  }
}

function canvasFor(chat: Chat, { place, texts, messageId }: Incoming) {
  if (chat.drafts && !isGroup(place)) return draftCanvas(chat.api, place, messageId);
  const replyTo = isGroup(place) ? messageId : undefined;
  return messageCanvas(chat.api, place, { replyTo, stopLabel: texts.stop });
}

async function takeAway(chat: Chat, place: Place, previewId: number | undefined): Promise<void> {
  if (previewId !== undefined) await removeMessage(chat.api, place, previewId);
}

async function explain(chat: Chat, last: Incoming, problem: BackendProblem): Promise<void> {
  const text = describeProblem(problem, last.texts);
  const refusal = `${last.chat} ${problem.code}`;
  if (text === undefined || !chat.remarks.allow(refusal, REFUSAL_EVERY_MS)) return;
  const replyTo = isGroup(last.place) ? last.messageId : undefined;
  await remark(chat.api, last.place, text, { replyTo }).catch((error: unknown) => {
    chat.logger.warn(describeError(error), 'remark lost');
  });
}
