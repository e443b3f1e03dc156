import { sql } from 'kysely';
import type { Transaction } from 'kysely';
import { retryOnLockConflict } from '#src/db/retry-on-lock-conflict.ts';
import type { DB } from '#src/db/tables.ts';
import type { Chat } from './chat.ts';
import { countRows, findOfChat, findOfUser } from './footprint.ts';
import type { Footprint, RowsByTable } from './footprint.ts';
import { stopAnswer } from './stop-answer.ts';

/**
 * Erases everything that is kept of a chat; a running answer is stopped and kept nowhere.
 * Returns how many rows were erased, by table.
 */
export async function forgetChat(chat: Chat, chatId: string): Promise<RowsByTable> {
  await stopAnswer(chat, chatId);
  return await inTransaction(chat, async (tx) => {
    await sql`
      select from chat_sessions where chat_id = ${chatId} order by id for update`.execute(tx);
    await tx.deleteFrom('rates').where('subject', '=', `chat:${chatId}`).execute();
    return await erase(tx, await findOfChat(tx, chatId));
  });
}

/**
 * Erases everything that is kept of a user: the sessions where nobody else speaks, whole; from
 * sessions shared with others, the user's turns, and the summaries, because they tell of them
 * (the next ones are written from what is left). A block stays: it is the operator's.
 */
export async function forgetUser(chat: Chat, userId: string): Promise<RowsByTable> {
  return await inTransaction(chat, async (tx) => {
    // Looked at in a further statement: one that waited for a lock would tell who spoke before the wait.
    await sql`
      select from chat_sessions
      where user_id = ${userId} or id in (select session_id from turns where user_id = ${userId})
      order by id for update`.execute(tx);
    const footprint = await findOfUser(tx, userId);
    const rows = await erase(tx, footprint);
    await eraseFromShared(tx, userId, footprint.sharedIds);
    await tx
      .deleteFrom('users')
      .where('id', '=', userId)
      .where('access', '<>', 'blocked')
      .execute();
    await tx.deleteFrom('rates').where('subject', '=', `user:${userId}`).execute();
    return rows;
  });
}

async function inTransaction<Result>(
  chat: Chat,
  work: (tx: Transaction<DB>) => Promise<Result>,
): Promise<Result> {
  return await retryOnLockConflict(() => chat.db.transaction().execute(work));
}

/** Erases the sessions that go whole; returns what there is of the footprint altogether. */
async function erase(tx: Transaction<DB>, footprint: Footprint): Promise<RowsByTable> {
  const rows = await countRows(tx, footprint);
  await sql`delete from chat_sessions where id = any(${footprint.sessionIds}::uuid[])`.execute(tx);
  return rows;
}

async function eraseFromShared(tx: Transaction<DB>, userId: string, ids: string[]): Promise<void> {
  if (ids.length === 0) return;
  const turns = await tx
    .deleteFrom('turns')
    .where('session_id', 'in', ids)
    .where('user_id', '=', userId)
    .returning(['user_message_id', 'reply_message_id'])
    .execute();
  const messageIds = turns
    .flatMap((turn) => [turn.user_message_id, turn.reply_message_id])
    .filter((id) => id !== null);
  await sql`delete from embeddings where message_id = any(${messageIds}::bigint[])`.execute(tx);
  await sql`delete from messages where id = any(${messageIds}::bigint[])`.execute(tx);
  await tx.deleteFrom('conversation_summaries').where('session_id', 'in', ids).execute();
  await sql`
    update chat_sessions s set user_id =
      (select t.user_id from turns t where t.session_id = s.id order by t.id limit 1)
    where s.id = any(${ids}::uuid[]) and s.user_id = ${userId}`.execute(tx);
}
