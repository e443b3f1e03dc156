import { loadConfig } from './config.ts';
import { explainListenError } from './listen-error.ts';
import { createLogger } from './logger.ts';
import { runEntry } from './run-entry.ts';
import { serveApi } from './serve-api.ts';
import { StartError } from './start-error.ts';

/** The API on its own, on real services. */
await runEntry(async () => {
  const config = loadConfig();
  if (config.databaseUrl === undefined) {
    throw new StartError(
      'DATABASE_URL: must be set for the API on its own; `pnpm start` brings an embedded PostgreSQL.',
    );
  }
  const logger = createLogger(config.logLevel);
  const api = await serveApi(config, config.databaseUrl, logger).catch((error: unknown) => {
    throw explainListenError(error, config.server) ?? error;
  });
  logger.info({ url: api.url }, 'API ready');
  return { stop: api.close };
});
