import type { Db } from '#src/db/connect.ts';
import { AppError } from '#src/errors.ts';

/** What the next reply of a chat will know, as its user may see it. */
export interface ChatMemory {
  chat_id: string;
  /** null: the last conversation was closed, the next message opens a new one. */
  session_id: string | null;
  summary: { version: number; content: string; created_at: Date; last_message_id: string } | null;
  messages_since_summary: number;
  /** The newest messages, oldest first. */
  recent: { id: string; role: string; content: string; created_at: Date }[];
}

/** Rejects with `not_found` where nothing is kept of the chat. `recent` holds at most `limit` messages. */
export async function showMemory(db: Db, chatId: string, limit: number): Promise<ChatMemory> {
  const session = await db
    .selectFrom('chat_sessions')
    .select(['id', 'is_active', 'messages_since_summary'])
    .where('chat_id', '=', chatId)
    .orderBy('is_active', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (session === undefined) throw new AppError('not_found', 'Nothing is kept of this chat.');
  if (!session.is_active) {
    return {
      chat_id: chatId,
      session_id: null,
      summary: null,
      messages_since_summary: 0,
      recent: [],
    };
  }
  const summary = await db
    .selectFrom('conversation_summaries')
    .select(['version', 'content', 'created_at', 'last_message_id'])
    .where('session_id', '=', session.id)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst();
  const recent = await db
    .selectFrom('messages')
    .select(['id', 'role', 'content', 'created_at'])
    .where('session_id', '=', session.id)
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
  return {
    chat_id: chatId,
    session_id: session.id,
    summary: summary ?? null,
    messages_since_summary: session.messages_since_summary,
    recent: recent.toReversed(),
  };
}
