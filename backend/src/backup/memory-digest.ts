import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { DB } from '../db/tables.ts';

/** What the open conversations would put into their next prompts, as one value. */
export interface MemoryDigest {
  sessions: number;
  messages: number;
  digest: string;
}

/** Asked of the database's own `read_memory`: the same rows and the same version of it give the same digest. */
export async function digestMemory(db: Kysely<DB>): Promise<MemoryDigest> {
  const { rows } = await sql<MemoryDigest>`
    select count(*)::integer as sessions,
        (select count(*)::integer from messages) as messages,
        md5(coalesce(string_agg(md5(id || read_memory(id, 9223372036854775807, 8, 16000, null)::text),
          '' order by id), '')) as digest
      from chat_sessions where is_active`.execute(db);
  const [found] = rows;
  if (found === undefined) throw new Error('the digest returned no row');
  return found;
}
