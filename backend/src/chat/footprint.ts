import { sql } from 'kysely';
import type { Transaction } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import type { DB } from '#src/db/tables.ts';

export interface RowsByTable {
  chat_sessions: number;
  messages: number;
  conversation_summaries: number;
  turns: number;
  embeddings: number;
  users: number;
}

/** What is kept of a chat or a user: found and counted here for those who ask and for those who erase. */
export interface Footprint {
  /** Goes whole. */
  sessionIds: string[];
  /** Sessions where others speak too: only the user's turns go, and the summaries. */
  sharedIds: string[];
  /** null: of a chat. */
  userId: string | null;
}

/** What `forgetChat` would erase. */
export async function measureChat(db: Db, chatId: string): Promise<RowsByTable> {
  return await atOneMoment(db, async (tx) => await countRows(tx, await findOfChat(tx, chatId)));
}

/** What `forgetUser` would erase. */
export async function measureUser(db: Db, userId: string): Promise<RowsByTable> {
  return await atOneMoment(db, async (tx) => await countRows(tx, await findOfUser(tx, userId)));
}

async function atOneMoment<Result>(
  db: Db,
  work: (tx: Transaction<DB>) => Promise<Result>,
): Promise<Result> {
  return await db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(work);
}

export async function findOfChat(tx: Transaction<DB>, chatId: string): Promise<Footprint> {
  const { rows } = await sql<{ id: string }>`
    select id from chat_sessions where chat_id = ${chatId}`.execute(tx);
  return { sessionIds: rows.map(({ id }) => id), sharedIds: [], userId: null };
}

export async function findOfUser(tx: Transaction<DB>, userId: string): Promise<Footprint> {
  const { rows } = await sql<{ id: string; shared: boolean }>`
    select s.id, exists (
        select from turns t where t.session_id = s.id and t.user_id <> ${userId}) as shared
    from chat_sessions s
    where s.user_id = ${userId} or s.id in (select session_id from turns where user_id = ${userId})`.execute(
    tx,
  );
  const ids = (shared: boolean) => rows.filter((row) => row.shared === shared).map(({ id }) => id);
  return { sessionIds: ids(false), sharedIds: ids(true), userId };
}

export async function countRows(
  tx: Transaction<DB>,
  { sessionIds, sharedIds, userId }: Footprint,
): Promise<RowsByTable> {
  const { rows } = await sql<RowsByTable>`
    with whole as (
      select unnest(${sessionIds}::uuid[]) as session_id
    ), shared as (
      select unnest(${sharedIds}::uuid[]) as session_id
    ), own_turns as (
      select user_message_id, reply_message_id from turns
      where session_id in (select session_id from shared) and user_id = ${userId}
    ), own_messages as (
      select user_message_id as id from own_turns where user_message_id is not null
      union all select reply_message_id from own_turns where reply_message_id is not null
    )
    select (select count(*)::integer from whole) as chat_sessions,
      (select count(*)::integer from messages where session_id in (select session_id from whole))
        + (select count(*)::integer from own_messages) as messages,
      (select count(*)::integer from conversation_summaries where session_id in (
        select session_id from whole union all select session_id from shared))
        as conversation_summaries,
      (select count(*)::integer from turns where session_id in (select session_id from whole))
        + (select count(*)::integer from own_turns) as turns,
      (select count(*)::integer from embeddings where session_id in (select session_id from whole))
        + (select count(*)::integer from embeddings where message_id in (select id from own_messages))
        + (select count(*)::integer from embeddings
          where session_id in (select session_id from shared) and summary_id is not null)
        as embeddings,
      (select count(*)::integer from users where id = ${userId} and access <> 'blocked') as users`.execute(
    tx,
  );
  const [counted] = rows;
  if (counted === undefined) throw new Error('counting returned no row');
  return counted;
}
