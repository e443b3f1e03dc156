import type { Db } from '#src/db/connect.ts';

/**
 * Has every memory indexed again whose indexing failed: its words, and then its vector where there
 * are vectors. Returns how many there were.
 */
export async function retryMemories(db: Db): Promise<number> {
  const retried = await db
    .updateTable('embeddings')
    .set({ state: 'pending', error: null, terms: null, claimed_until: null })
    .where('state', '=', 'failed')
    .executeTakeFirst();
  return Number(retried.numUpdatedRows);
}
