import { sql } from 'kysely';
import type { Db } from './connect.ts';

/** The vectors of one model in the vector store. */
export interface VectorCollection {
  name: string;
  model: string;
  dimension: number;
  /** How similar the model finds texts that have nothing to do with each other. */
  floor: number;
}

/** What a search should ask: the collection that became active last, or where none ever was, the one that is being filled. */
export async function findSearchedCollection(
  db: Db,
): Promise<(VectorCollection & { is_active: boolean }) | undefined> {
  return await db
    .selectFrom('vector_collections')
    .select(['name', 'model', 'dimension', 'floor'])
    .select(sql<boolean>`active_since is not null`.as('is_active'))
    .orderBy('active_since', (order) => order.desc().nullsLast())
    .limit(1)
    .executeTakeFirst();
}

/** Notes a collection that is to be filled with the vectors of all rows that there are. */
export async function enterCollection(db: Db, collection: VectorCollection): Promise<void> {
  const fillTo = sql<string>`(select coalesce(max(id), 0) from embeddings)`;
  await db
    .insertInto('vector_collections')
    .values({ ...collection, fill_to: fillTo })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({ floor: collection.floor, fill_to: fillTo }),
    )
    .execute();
}

/** Whether rows that it has to hold before it is searched still wait for their vectors. */
export async function isBeingFilled(db: Db, name: string): Promise<boolean> {
  const { rows } = await sql<{ waits: boolean }>`
    select exists (select from embeddings
      where (terms is null or state = 'pending')
        and id <= (select fill_to from vector_collections where name = ${name})) as waits`.execute(
    db,
  );
  return rows[0]?.waits ?? false;
}

/** From now on this one is searched. */
export async function activateCollection(db: Db, name: string): Promise<void> {
  await db
    .updateTable('vector_collections')
    .set({ active_since: sql`now()` })
    .where('name', '=', name)
    .execute();
}

export async function listCollections(db: Db): Promise<string[]> {
  const rows = await db.selectFrom('vector_collections').select('name').execute();
  return rows.map(({ name }) => name);
}

/** Those that were replaced by this one so long ago that no process searches them any more. */
export async function listReplacedCollections(db: Db, name: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select other.name from vector_collections own, vector_collections other
      where own.name = ${name} and own.active_since < now() - interval '1 minute'
        and (other.active_since is null or other.active_since < own.active_since)`.execute(db);
  return rows.map((row) => row.name);
}

export async function deleteCollection(db: Db, name: string): Promise<void> {
  await db.deleteFrom('vector_collections').where('name', '=', name).execute();
}
