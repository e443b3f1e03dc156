import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * Before PostgreSQL 18 what a deletion cascades to runs its triggers as whoever deleted, and the
 * panel's role may delete a message but not write down that its vector goes.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter function remember_deleted_vectors() security definer
    set search_path = public, pg_temp`.execute(db);
}
