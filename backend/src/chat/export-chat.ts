import type { Selectable } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import type { Turns } from '#src/db/tables.ts';
import { AppError } from '#src/errors.ts';
import { unpackContextLog } from '#src/memory/context-log.ts';
import type { StoredContextLog } from '#src/memory/context-log.ts';

/**
 * Everything that is kept of a chat, oldest first, read at one moment.
 * Rejects with `not_found` where nothing is.
 */
export async function exportChat(db: Db, chatId: string) {
  return await db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (tx) => {
      const sessions = await tx
        .selectFrom('chat_sessions')
        .selectAll()
        .where('chat_id', '=', chatId)
        .orderBy('created_at')
        .execute();
      if (sessions.length === 0) {
        throw new AppError('not_found', 'Nothing is kept of this chat.');
      }
      const ids = sessions.map((session) => session.id);
      const [messages, summaries, turns, embeddings] = [
        await tx
          .selectFrom('messages')
          .selectAll()
          .where('session_id', 'in', ids)
          .orderBy('id')
          .execute(),
        await tx
          .selectFrom('conversation_summaries')
          .selectAll()
          .where('session_id', 'in', ids)
          .orderBy('version')
          .execute(),
        await tx
          .selectFrom('turns')
          .selectAll()
          .$castTo<Omit<Selectable<Turns>, 'context'> & { context: StoredContextLog | null }>()
          .where('session_id', 'in', ids)
          .orderBy('id')
          .execute(),
        await tx
          .selectFrom('embeddings')
          .selectAll()
          .where('session_id', 'in', ids)
          .orderBy('id')
          .execute(),
      ];
      return {
        chat_id: chatId,
        exported_at: new Date().toISOString(),
        sessions: sessions.map((session) => ({
          ...session,
          messages: ofSession(messages, session.id),
          summaries: ofSession(summaries, session.id),
          turns: ofSession(turns, session.id).map(({ request_hash: _, context, ...turn }) => ({
            ...turn,
            context: unpackContextLog(context) ?? null,
          })),
          embeddings: ofSession(embeddings, session.id),
        })),
      };
    });
}

function ofSession<Row extends { session_id: string }>(rows: Row[], sessionId: string) {
  return rows.filter((row) => row.session_id === sessionId).map(({ session_id: _, ...row }) => row);
}
