import { promises as fs } from 'node:fs';
import path from 'node:path';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
import { connect } from './connect.ts';

/**
 * Brings the database to the newest schema, all or nothing. Parallel calls are safe: an advisory
 * lock lets one migrate while the others wait and find nothing left to do.
 * Returns the names of the migrations that were applied.
 */
export async function migrateToLatest(databaseUrl: string): Promise<string[]> {
  const { db, close } = connect(databaseUrl, { max: 1 });
  try {
    const migrator = new Migrator({
      db,
      provider: new FileMigrationProvider({
        fs,
        path,
        migrationFolder: path.join(import.meta.dirname, 'migrations'),
      }),
    });
    const { error, results = [] } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
    return results.map((result) => result.migrationName);
  } finally {
    await close();
  }
}
