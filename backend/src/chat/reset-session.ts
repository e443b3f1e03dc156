import type { Chat } from './chat.ts';

/**
 * Closes the open session of a chat, or one session by id, and asks for its last summary; the
 * chat's next message opens a new one. Returns how many were closed: 0 where there is none.
 * A turn that is being answered stays in the session it began in.
 */
export async function resetSession(
  chat: Pick<Chat, 'db' | 'summaries'>,
  target: { chatId: string } | { sessionId: string },
  requestId: string,
): Promise<number> {
  const closed = await chat.db
    .updateTable('chat_sessions')
    .set({ is_active: false })
    .where('is_active', '=', true)
    .where((eb) =>
      'chatId' in target ? eb('chat_id', '=', target.chatId) : eb('id', '=', target.sessionId),
    )
    .returning(['id', 'messages_since_summary'])
    .execute();
  for (const session of closed) {
    if (session.messages_since_summary > 0) await chat.summaries.request(session.id, requestId);
  }
  return closed.length;
}
