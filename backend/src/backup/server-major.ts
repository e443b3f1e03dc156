import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { DB } from '../db/tables.ts';

/** PostgreSQL's version as people call it: 18. */
export async function serverMajor(db: Kysely<DB>): Promise<number> {
  const { rows } = await sql<{ major: number }>`
    select current_setting('server_version_num')::integer / 10000 as major`.execute(db);
  return rows[0]?.major ?? 0;
}
