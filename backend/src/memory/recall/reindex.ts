import { sql } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import { retryOnLockConflict } from '#src/db/retry-on-lock-conflict.ts';

const PAGE = 2_000;

/**
 * Has the rows of one page after `after` indexed anew, by whatever indexer comes first. Returns the
 * last of them; undefined where there are no more.
 */
export async function forgetIndexed(db: Db, after: string): Promise<string | undefined> {
  const { rows } = await retryOnLockConflict(() =>
    sql<{ last: string | null }>`
      with page as (
        select id from embeddings where id > ${after} order by id limit ${PAGE} for update
      ), forgotten as (
        update embeddings e set terms = null, state = 'pending', error = null, claimed_until = null
          from page where e.id = page.id
      )
      select max(id) as last from page`.execute(db),
  );
  return rows[0]?.last ?? undefined;
}

/** Rows that wait for their words and for their vectors, and the last ids of rows and of messages. */
export async function countWaiting(
  db: Db,
): Promise<{ words: number; vectors: number; lastId: number; lastMessageId: number }> {
  const { rows } = await sql<{
    words: number;
    vectors: number;
    last_id: string | null;
    last_message_id: string | null;
  }>`
    select (select count(*) from unentered_messages)::integer
        + (select count(*) from embeddings where terms is null)::integer as words,
      (select count(*) from embeddings where state = 'pending' and terms is not null)::integer
        as vectors,
      (select max(id) from embeddings) as last_id,
      (select max(id) from messages) as last_message_id`.execute(db);
  const [row] = rows;
  return {
    words: row?.words ?? 0,
    vectors: row?.vectors ?? 0,
    lastId: Math.max(1, Number(row?.last_id ?? 0)),
    lastMessageId: Math.max(1, Number(row?.last_message_id ?? 0)),
  };
}
