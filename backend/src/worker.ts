import { loadConfig } from './config.ts';
import { createLogger } from './logger.ts';
import { createRegistry } from './metrics.ts';
import { runEntry } from './run-entry.ts';
import { serveWorkerMetrics } from './serve-worker-metrics.ts';
import { needsWorker, serveWorker } from './serve-worker.ts';
import { StartError } from './start-error.ts';

/** The worker on its own, beside any number of API processes; several of them need Redis. */
await runEntry(async () => {
  const config = loadConfig();
  if (config.databaseUrl === undefined) {
    throw new StartError(
      'DATABASE_URL: must be set for the worker on its own; `pnpm start` brings a worker and an embedded PostgreSQL.',
    );
  }
  const logger = createLogger(config.logLevel);
  const registry = createRegistry();
  const metrics = await serveWorkerMetrics(config, registry, logger);
  const worker = await serveWorker(config, config.databaseUrl, logger, registry);
  if (needsWorker(config)) {
    const queue = config.redisUrl === undefined ? 'postgres' : 'redis';
    logger.info({ queue, metrics_url: metrics?.url }, 'worker ready');
  } else {
    // No failure: a supervisor would only start it again. Where it shows metrics, as in compose, it waits.
    logger.warn(
      `worker has nothing to do: SUMMARY_MODE is ${config.summaries.mode}, and RAG_ENABLED is false; set one to queue or true, or run no worker`,
    );
  }
  return {
    async stop() {
      await worker.close();
      metrics?.close();
    },
  };
});
