import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pino } from 'pino';
import { loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { explainListenError } from './listen-error.ts';
import { banner } from './local/banner.ts';
import { prepareDataFolder } from './local/data-folder.ts';
import { startEmbeddedPostgres } from './local/embedded-postgres.ts';
import { startOperatorPanel } from './local/operator-panel.ts';
import { startTelegramBot } from './local/telegram-bot.ts';
import { createLogger } from './logger.ts';
import { createRegistry } from './metrics.ts';
import { runEntry } from './run-entry.ts';
import { serveApi } from './serve-api.ts';
import { needsWorker, serveWorker } from './serve-worker.ts';

/** Runs the whole product in one process, on embedded parts where no others are configured. */
async function start(): Promise<{ stop(): Promise<void> }> {
  const config = withDeskApiKey(loadConfig());
  const dataFolder = await prepareDataFolder(config.dataDir);
  // In a terminal the log would bury the banner.
  const logFile = process.stdout.isTTY ? join(dataFolder, 'api.log') : undefined;
  const logger = createLogger(
    config.logLevel,
    logFile === undefined ? undefined : pino.destination(logFile),
  );

  const postgres =
    config.databaseUrl === undefined
      ? await startEmbeddedPostgres({ dataDir: dataFolder, logger })
      : { url: config.databaseUrl, folder: undefined, stop: async () => {} };
  const opened: { close: () => Promise<void> }[] = [];
  const besides: { close: () => Promise<void> }[] = [];
  const stop = async () => {
    try {
      await Promise.all(besides.map((part) => part.close()));
      await Promise.all(opened.map((part) => part.close()));
    } finally {
      await postgres.stop();
    }
  };
  try {
    const registry = createRegistry();
    const api = await serveApi(config, postgres.url, logger, registry);
    opened.push(api);
    if (needsWorker(config)) {
      opened.push(await serveWorker(config, postgres.url, logger, registry));
    }
    if (config.hasTelegramBot) {
      const [key] = config.server.apiKeys;
      besides.push(startTelegramBot({ url: api.url, key }, { logFile, logger }));
    }
    const places = { apiUrl: api.url, databaseFolder: postgres.folder, logFile };
    process.stdout.write(banner(config, places));
    if (config.panelPort !== undefined) {
      const { deskApiKey } = config.server;
      const parts = { apiUrl: api.url, databaseUrl: postgres.url, dataDir: dataFolder, deskApiKey };
      besides.push(startOperatorPanel(parts, { logFile, logger }));
    }
    return { stop };
  } catch (error) {
    await stop();
    throw explainListenError(error, config.server) ?? error;
  }
}

/** The panel and the API of one start agree on a key of their own, where none is configured. */
function withDeskApiKey(config: Config) {
  const deskApiKey = config.server.deskApiKey ?? randomBytes(24).toString('base64url');
  return { ...config, server: { ...config.server, deskApiKey } };
}

await runEntry(start);
