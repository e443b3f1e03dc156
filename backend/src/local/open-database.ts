import { StartError } from '../start-error.ts';
import type { Config } from '../config.ts';
import { findEmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';

/** The database for a command beside `pnpm start`: the one configured, or the embedded one, which is started where it does not run. */
export async function openDatabase(
  config: Pick<Config, 'databaseUrl' | 'dataDir'>,
): Promise<{ url: string; stop: () => Promise<void> }> {
  if (config.databaseUrl !== undefined) return { url: config.databaseUrl, stop: async () => {} };
  const embedded = await findEmbeddedPostgres(config.dataDir);
  if (embedded === undefined) {
    throw new StartError(
      `DATA_DIR: there is no embedded database in ${config.dataDir}; run \`pnpm start\` first, or set DATABASE_URL`,
    );
  }
  if (embedded.url !== undefined) return { url: embedded.url, stop: async () => {} };
  const started = await startEmbeddedPostgres({ dataDir: config.dataDir });
  return { url: started.url, stop: () => started.stop() };
}
