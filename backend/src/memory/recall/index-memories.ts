import { sql } from 'kysely';
import type { Db } from '#src/db/connect.ts';

/** A batch is one short transaction. */
const BATCH = 200;

/**
 * Puts one batch of the ledger's new and edited rows into the lexical index. Any number of
 * processes may do so at once: each takes rows that no other holds. `withVectors`: the rows then
 * wait for their vectors. Returns how many it took.
 */
export async function indexMemories(db: Db, options = { withVectors: false }): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select index_memories(${BATCH}, ${options.withVectors}) as count`.execute(db);
  return rows[0]?.count ?? 0;
}
