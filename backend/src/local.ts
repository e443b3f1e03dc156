import { join } from 'node:path';
import { pino } from 'pino';
import { loadConfig } from './config.ts';
import { explainListenError } from './listen-error.ts';
import { banner } from './local/banner.ts';
import { prepareDataFolder } from './local/data-folder.ts';
import { startEmbeddedPostgres } from './local/embedded-postgres.ts';
import { startTelegramBot } from './local/telegram-bot.ts';
import { createLogger } from './logger.ts';
import { createRegistry } from './metrics.ts';
import { runEntry } from './run-entry.ts';
import { serveApi } from './serve-api.ts';
import { needsWorker, serveWorker } from './serve-worker.ts';

/** Runs the whole product in one process, on embedded parts where no others are configured. */
async function start(): Promise<{ stop(): Promise<void> }> {
  const config = loadConfig();
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
  let bot: { close: () => Promise<void> } | undefined;
  const stop = async () => {
    try {
      await bot?.close();
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
      bot = startTelegramBot({ url: api.url, key }, { logFile, logger });
    }
    const places = { apiUrl: api.url, databaseFolder: postgres.folder, logFile };
    process.stdout.write(banner(config, places));
    return { stop };
  } catch (error) {
    await stop();
    throw explainListenError(error, config.server) ?? error;
  }
}

await runEntry(start);
