import { loadConfig } from './config.ts';
import { connect } from './db/connect.ts';
import type { Db } from './db/connect.ts';
import { migrateToLatest } from './db/migrate.ts';
import { asAppError } from './errors.ts';
import { openDatabase } from './local/open-database.ts';
import { createLogger } from './logger.ts';
import type { VectorIndex } from './memory/recall/vectors.ts';
import { openVectorIndex } from './open-vectors.ts';
import { runEntry } from './run-entry.ts';
import { reasonOf, StartError } from './start-error.ts';

/** A command on what recall finds. What it does may be cut off and run again, also beside workers. */
export async function runRecallCommand(
  work: (db: Db, vectors: VectorIndex | undefined) => Promise<void>,
): Promise<void> {
  await runEntry(async () => {
    const config = loadConfig();
    const database = await openDatabase(config);
    const { db, close } = connect(database.url, { max: 2 });
    const vectors = openVectorIndex(config, db, createLogger('silent'));
    try {
      await migrateToLatest(database.url);
      await work(db, vectors);
    } catch (error) {
      if (asAppError(error).code === 'database_unavailable') throw error;
      throw new StartError(`Cut off: ${reasonOf(error)}; run it again when that works.`, {
        cause: error,
      });
    } finally {
      await vectors?.embedder.close();
      await close();
      await database.stop();
    }
  });
}
