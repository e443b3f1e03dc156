import { sql } from 'kysely';
import type { Transaction } from 'kysely';
import { retryOnLockConflict } from '#src/db/retry-on-lock-conflict.ts';
import type { DB } from '#src/db/tables.ts';
import type { Chat } from './chat.ts';
import { stopAnswer } from './stop-answer.ts';

/** How many rows were erased, by table. */
export interface ForgottenRows {
  chat_sessions: number;
  messages: number;
  conversation_summaries: number;
  turns: number;
  embeddings: number;
  users: number;
}

/** Erases everything that is kept of a chat; a running answer is stopped and kept nowhere. */
export async function forgetChat(chat: Chat, chatId: string): Promise<ForgottenRows> {
  await stopAnswer(chat, chatId);
  return await inTransaction(chat, async (tx) => {
    const sessions = await tx
      .selectFrom('chat_sessions')
      .select('id')
      .where('chat_id', '=', chatId)
      .orderBy('id')
      .forUpdate()
      .execute();
    await tx.deleteFrom('rates').where('subject', '=', `chat:${chatId}`).execute();
    return await deleteSessions(
      tx,
      sessions.map((session) => session.id),
    );
  });
}

/**
 * Erases everything that is kept of a user: the sessions where nobody else speaks, whole; from
 * sessions shared with others, the user's turns, and the summaries, because they tell of them
 * (the next ones are written from what is left). A block stays: it is the operator's.
 */
export async function forgetUser(chat: Chat, userId: string): Promise<ForgottenRows> {
  return await inTransaction(chat, async (tx) => {
    const sessions = await lockSessionsOf(tx, userId);
    const own = await deleteSessions(
      tx,
      sessions.filter((session) => !session.shared).map((session) => session.id),
    );
    const shared = sessions.filter((session) => session.shared).map((session) => session.id);
    const rows = addRows(own, await deleteUserFromSessions(tx, userId, shared));
    const users = await tx
      .deleteFrom('users')
      .where('id', '=', userId)
      .where('access', '<>', 'blocked')
      .executeTakeFirst();
    await tx.deleteFrom('rates').where('subject', '=', `user:${userId}`).execute();
    return { ...rows, users: Number(users.numDeletedRows) };
  });
}

async function inTransaction<Result>(
  chat: Chat,
  work: (tx: Transaction<DB>) => Promise<Result>,
): Promise<Result> {
  return await retryOnLockConflict(() => chat.db.transaction().execute(work));
}

/** Locks first, looks in a second statement: one that waited for a lock would tell who spoke before the wait. */
async function lockSessionsOf(
  tx: Transaction<DB>,
  userId: string,
): Promise<{ id: string; shared: boolean }[]> {
  const { rows: locked } = await sql<{ id: string }>`
    select id from chat_sessions
    where user_id = ${userId} or id in (select session_id from turns where user_id = ${userId})
    order by id for update`.execute(tx);
  const ids = locked.map((session) => session.id);
  const { rows } = await sql<{ id: string; shared: boolean }>`
    select s.id, exists (
        select from turns t where t.session_id = s.id and t.user_id <> ${userId}) as shared
    from unnest(${ids}::uuid[]) as s (id)`.execute(tx);
  return rows;
}

async function deleteSessions(tx: Transaction<DB>, ids: string[]): Promise<ForgottenRows> {
  const { rows } = await sql<Omit<ForgottenRows, 'users'>>`
    with ids as (select unnest(${ids}::uuid[]) as id)
    select (select count(*)::integer from ids) as chat_sessions,
      (select count(*)::integer from messages where session_id in (select id from ids)) as messages,
      (select count(*)::integer from conversation_summaries
        where session_id in (select id from ids)) as conversation_summaries,
      (select count(*)::integer from turns where session_id in (select id from ids)) as turns,
      (select count(*)::integer from embeddings where session_id in (select id from ids)) as embeddings`.execute(
    tx,
  );
  await sql`delete from chat_sessions where id = any(${ids}::uuid[])`.execute(tx);
  return { ...nothing, ...rows[0] };
}

async function deleteUserFromSessions(
  tx: Transaction<DB>,
  userId: string,
  ids: string[],
): Promise<ForgottenRows> {
  if (ids.length === 0) return nothing;
  const turns = await tx
    .deleteFrom('turns')
    .where('session_id', 'in', ids)
    .where('user_id', '=', userId)
    .returning(['user_message_id', 'reply_message_id'])
    .execute();
  const messageIds = turns
    .flatMap((turn) => [turn.user_message_id, turn.reply_message_id])
    .filter((id) => id !== null);
  const { rows: embeddings } = await sql`
    delete from embeddings where message_id = any(${messageIds}::bigint[]) returning id`.execute(
    tx,
  );
  const { rows: messages } = await sql`
    delete from messages where id = any(${messageIds}::bigint[]) returning id`.execute(tx);
  const summaries = await tx
    .deleteFrom('conversation_summaries')
    .where('session_id', 'in', ids)
    .returning('id')
    .execute();
  await sql`
    update chat_sessions s set user_id =
      (select t.user_id from turns t where t.session_id = s.id order by t.id limit 1)
    where s.id = any(${ids}::uuid[]) and s.user_id = ${userId}`.execute(tx);
  return {
    chat_sessions: 0,
    messages: messages.length,
    conversation_summaries: summaries.length,
    turns: turns.length,
    embeddings: embeddings.length,
    users: 0,
  };
}

const nothing: ForgottenRows = {
  chat_sessions: 0,
  messages: 0,
  conversation_summaries: 0,
  turns: 0,
  embeddings: 0,
  users: 0,
};

function addRows(a: ForgottenRows, b: ForgottenRows): ForgottenRows {
  return {
    chat_sessions: a.chat_sessions + b.chat_sessions,
    messages: a.messages + b.messages,
    conversation_summaries: a.conversation_summaries + b.conversation_summaries,
    turns: a.turns + b.turns,
    embeddings: a.embeddings + b.embeddings,
    users: a.users + b.users,
  };
}
