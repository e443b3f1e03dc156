import { sql } from 'kysely';
import type { Db } from './connect.ts';

const COUNT_AT_MOST = 100_000;

/**
 * What recall does not find yet, by words or, `withVectors`, by sense. Each is counted up to 100,000,
 * so that a long import costs no long count.
 */
export async function countPendingMemories(
  db: Db,
  withVectors: boolean,
): Promise<{ rows: number; oldest_seconds: number }> {
  const { rows } = await sql<{ rows: number; oldest_seconds: number }>`
    select count(*)::integer as rows,
        coalesce(greatest(0, extract(epoch from now() - min(created_at)))::float8, 0) as oldest_seconds
      from (
        (select m.created_at from (select message_id from unentered_messages limit ${COUNT_AT_MOST}) as u
          join messages m on m.id = u.message_id)
        union all
        (select created_at from embeddings where terms is null order by id limit ${COUNT_AT_MOST})
        union all
        (select created_at from embeddings
          where ${withVectors} and state = 'pending' and terms is not null
          order by id limit ${COUNT_AT_MOST})
      ) as pending`.execute(db);
  const [pending] = rows;
  if (pending === undefined) throw new Error('counting returned no row');
  return pending;
}
