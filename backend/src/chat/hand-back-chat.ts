import { sql } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import { AppError } from '#src/errors.ts';

/**
 * The bot answers again, from the next message on, and knows what was said meanwhile.
 * Rejects with `not_found` where nothing is known of the chat.
 */
export async function handBackChat(db: Db, chatId: string): Promise<void> {
  const handedBack = await db
    .updateTable('chat_sessions')
    .set({ taken_over_at: null, taken_over_by: null })
    .where('chat_id', '=', chatId)
    .where('taken_over_at', 'is not', null)
    .executeTakeFirst();
  if (handedBack.numUpdatedRows > 0n) return;
  const { rows } = await sql`
    select from chat_sessions where chat_id = ${chatId} limit 1`.execute(db);
  if (rows.length === 0) throw new AppError('not_found', 'Nothing is known of this chat.');
}
