import { requestStop } from '#src/db/turns.ts';
import type { Chat } from './chat.ts';
import { stoppedByUser } from './running-turn.ts';

/** Stops the answer that is being written in a chat, wherever it runs. Returns how many were. */
export async function stopAnswer(chat: Chat, chatId: string): Promise<number> {
  const turnIds = await requestStop(chat.db, chatId);
  for (const turnId of turnIds) chat.running.get(turnId)?.stop.abort(stoppedByUser);
  return turnIds.length;
}
