import { loadConfig } from './config.ts';
import { migrateToLatest } from './db/migrate.ts';
import { runEntry } from './run-entry.ts';
import { StartError } from './start-error.ts';

/** Brings the database to the newest schema and ends; the API does the same when it starts. */
await runEntry(async () => {
  const { databaseUrl } = loadConfig();
  if (databaseUrl === undefined) {
    throw new StartError('DATABASE_URL: must name the database to migrate.');
  }
  const applied = await migrateToLatest(databaseUrl);
  console.log(applied.length === 0 ? 'Nothing to migrate.' : `Applied ${applied.join(', ')}.`);
});
