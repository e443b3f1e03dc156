import { sql } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import { isLockConflict, retryOnLockConflict } from '#src/db/retry-on-lock-conflict.ts';

/** One short transaction; and at most so many old messages does a new one wait behind. */
const PAGE = 1_000;

/**
 * Looks at the next page of messages for those that the ledger was not told of, and queues them.
 * Any number of processes may do so at once: one does, the others find nothing. Returns whether it
 * is worth going on.
 */
export async function sweepMessages(db: Db): Promise<boolean> {
  try {
    const { rows } = await sql<{ goes_on: boolean }>`
      select sweep_messages(${PAGE}) as goes_on`.execute(db);
    return rows[0]?.goes_on ?? false;
  } catch (error) {
    // Somebody who edits one of them has not committed yet.
    if (isLockConflict(error)) return false;
    throw error;
  }
}

/**
 * The same for a page after any message, whatever was swept before. Returns the last that it looked
 * at; undefined where there are no more.
 */
export async function queueMissedMessages(db: Db, after: string): Promise<string | undefined> {
  const { rows } = await retryOnLockConflict(() =>
    sql<{ last: string | null }>`
      select queue_missed_messages(${after}, 9223372036854775807, ${PAGE}) as last`.execute(db),
  );
  return rows[0]?.last ?? undefined;
}

/** Messages that the sweep still has to find. */
export async function countMissedMessages(db: Db): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::integer from messages m
      where id > (select swept_to from message_sweep) and role in ('user', 'assistant')
        and not exists (select from embeddings where message_id = m.id)
        and not exists (select from unentered_messages where message_id = m.id)`.execute(db);
  return rows[0]?.count ?? 0;
}
