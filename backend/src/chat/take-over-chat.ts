import { sql } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import { AppError } from '#src/errors.ts';

/**
 * From now on an operator speaks in this chat: the user's messages are stored, the bot is silent, and
 * an answer that is being written is dropped. Holds until it is handed back, whatever the user resets.
 * Rejects with `not_found` where nothing is known of the chat.
 */
export async function takeOverChat(
  db: Db,
  chatId: string,
  operatorId: string | undefined,
): Promise<void> {
  const taken = await db.transaction().execute(async (tx) => {
    // No turn begins meanwhile.
    await sql`select lock_chat(${chatId})`.execute(tx);
    return await tx
      .updateTable('chat_sessions')
      .set({
        taken_over_at: sql`coalesce(taken_over_at, now())`,
        taken_over_by: operatorId ?? null,
      })
      .where('id', '=', (eb) =>
        eb
          .selectFrom('chat_sessions')
          .select('id')
          .where('chat_id', '=', chatId)
          .orderBy('is_active', 'desc')
          .orderBy('created_at', 'desc')
          .limit(1),
      )
      .executeTakeFirst();
  });
  if (taken.numUpdatedRows === 0n) {
    throw new AppError('not_found', 'Nothing is known of this chat.');
  }
}
