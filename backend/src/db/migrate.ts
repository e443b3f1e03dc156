import { promises as fs } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
import { connect } from './connect.ts';
import type { Db } from './connect.ts';
import { isLockConflict } from './retry-on-lock-conflict.ts';

/**
 * Whoever comes after a change of a table that waits for its lock waits too, and with them every
 * turn. So it waits for less than PostgreSQL takes to look for deadlocks (a second), and lets the
 * others pass before it tries again.
 */
const LOCK_TIMEOUT = '500ms';
const PAUSE_MS = 700;
/** Somebody holds a lock for as long as this, or another process migrates. */
const PATIENCE_MS = 600_000;

/**
 * Brings the database to the newest schema, all or nothing, while others use it. Parallel calls are
 * safe: an advisory lock lets one migrate while the others wait and find nothing left to do. A
 * database that a later version has migrated is left as it is: its schema serves this one too.
 * Returns the names of the migrations that were applied.
 */
export async function migrateToLatest(databaseUrl: string): Promise<string[]> {
  const { db, close } = connect(databaseUrl, { max: 1, queryTimeoutMs: 0 });
  const deadline = Date.now() + PATIENCE_MS;
  try {
    const migrator = new Migrator({
      db,
      provider: new FileMigrationProvider({
        fs,
        path,
        migrationFolder: path.join(import.meta.dirname, 'migrations'),
      }),
    });
    await sql`set lock_timeout = ${sql.lit(LOCK_TIMEOUT)}`.execute(db);
    for (;;) {
      if (await isOfLaterVersion(db, migrator)) return [];
      const { error, results = [] } = await migrator.migrateToLatest();
      if (error === undefined) return results.map((result) => result.migrationName);
      if (!isLockConflict(error) || Date.now() > deadline) throw error;
      await sleep(PAUSE_MS);
    }
  } finally {
    await close();
  }
}

async function isOfLaterVersion(db: Db, migrator: Migrator): Promise<boolean> {
  const newest = (await migrator.getMigrations()).at(-1)?.name;
  const { rows: tables } =
    await sql`select where to_regclass('kysely_migration') is not null`.execute(db);
  if (newest === undefined || tables.length === 0) return false;
  const { rows } = await sql`select from kysely_migration where name > ${newest} limit 1`.execute(
    db,
  );
  return rows.length > 0;
}
