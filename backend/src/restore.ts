import { restore } from './backup/restore.ts';
import { executablePath, loadConfig } from './config.ts';
import { startEmbeddedPostgres } from './local/embedded-postgres.ts';
import { runEntry } from './run-entry.ts';
import { StartError } from './start-error.ts';

/** `pnpm restore FILE`: a backup into the empty database of DATABASE_URL, or into a new embedded one. */
await runEntry(async () => {
  const file = process.argv[2];
  if (file === undefined) throw new StartError('Usage: pnpm restore FILE');
  const { databaseUrl, dataDir } = loadConfig();
  const database =
    databaseUrl === undefined
      ? await startEmbeddedPostgres({ dataDir })
      : { url: databaseUrl, stop: async () => {} };
  try {
    const { sessions, messages, digest, isCompared } = await restore(
      database.url,
      file,
      executablePath(),
    );
    console.log(
      `Restored ${messages} messages and ${sessions} open conversations; the invariants hold. Memory digest ${digest}, ` +
        (isCompared ? 'as it was backed up.' : `not compared: ${file}.json is not there.`),
    );
  } finally {
    await database.stop();
  }
});
