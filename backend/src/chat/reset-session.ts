import type { Db } from '#src/db/connect.ts';

/**
 * Closes the open session of a chat, or one session by id; the chat's next message opens a new one.
 * Returns how many were closed: 0 where there is none. A turn that is being answered stays in the
 * session it began in.
 */
export async function resetSession(
  db: Db,
  target: { chatId: string } | { sessionId: string },
): Promise<number> {
  const result = await db
    .updateTable('chat_sessions')
    .set({ is_active: false })
    .where('is_active', '=', true)
    .where((eb) =>
      'chatId' in target ? eb('chat_id', '=', target.chatId) : eb('id', '=', target.sessionId),
    )
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}
