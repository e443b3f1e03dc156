import type { Config } from './config.ts';
import { connect } from './db/connect.ts';
import { migrateToLatest } from './db/migrate.ts';
import { openSummaryQueue } from './jobs/queues.ts';
import { startSummaryWorker } from './jobs/workers.ts';
import type { Logger } from './logger.ts';
import { createJobMetrics, createRegistry } from './metrics.ts';
import { openSummaryModel, queueStore } from './open-summaries.ts';

/** No job holds a connection while its model writes. */
const MAX_CONNECTIONS = 5;

/** Migrates the database and works on the queue. `close` drains, then closes what was opened, in reverse. */
export async function serveWorker(
  config: Config,
  databaseUrl: string,
  logger: Logger,
  registry = createRegistry(),
): Promise<{ close: () => Promise<void> }> {
  await migrateToLatest(databaseUrl);
  const { db, close: closeDatabase } = connect(databaseUrl, {
    max: MAX_CONNECTIONS,
    onIdleError: (error) => logger.warn({ err: error }, 'database connection lost'),
  });
  const model = openSummaryModel(config);
  const store = queueStore(config, databaseUrl);
  const queue = await openSummaryQueue(store, logger);
  const worker = await startSummaryWorker(
    store,
    queue,
    { db, model, logger, settings: config.summaries },
    { sweepMs: config.summaries.sweepSeconds * 1_000, metrics: createJobMetrics(registry) },
  );
  return {
    async close() {
      await worker.close();
      await queue.close();
      await model.close();
      await closeDatabase();
    },
  };
}
