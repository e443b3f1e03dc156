import type { Config } from './config.ts';
import { connect } from './db/connect.ts';
import type { Db } from './db/connect.ts';
import { migrateToLatest } from './db/migrate.ts';
import { openSummaryQueue } from './jobs/queues.ts';
import { startRecallWorker } from './jobs/recall-worker.ts';
import type { Observed } from './jobs/start-worker.ts';
import { startSummaryWorker } from './jobs/workers.ts';
import type { Logger } from './logger.ts';
import { createJobMetrics, createRegistry } from './metrics.ts';
import { openSummaryModel, queueStore } from './open-summaries.ts';
import { openVectorIndex } from './open-vectors.ts';

/** No job holds a connection while its model writes. */
const MAX_CONNECTIONS = 5;

interface Part {
  close: () => Promise<void>;
}

/** What every part works with. */
interface Shared extends Observed {
  config: Config;
  databaseUrl: string;
  db: Db;
}

/** Whether there are jobs at all. */
export function needsWorker({ summaries, chat }: Config): boolean {
  return summaries.mode === 'queue' || chat.recall !== undefined;
}

/** Migrates the database and works on the queues. `close` drains, then closes what was opened, in reverse. */
export async function serveWorker(
  config: Config,
  databaseUrl: string,
  logger: Logger,
  registry = createRegistry(),
): Promise<Part> {
  await migrateToLatest(databaseUrl);
  const { db, close: closeDatabase } = connect(databaseUrl, {
    max: MAX_CONNECTIONS,
    onIdleError: (error) => logger.warn({ err: error }, 'database connection lost'),
  });
  const shared = { config, databaseUrl, db, logger, metrics: createJobMetrics(registry) };
  const parts: Part[] = [];
  if (config.summaries.mode === 'queue') parts.push(await serveSummaries(shared));
  if (config.chat.recall !== undefined) parts.push(await serveRecall(shared));
  return {
    async close() {
      await Promise.all(parts.map((part) => part.close()));
      await closeDatabase();
    },
  };
}

async function serveSummaries({ config, databaseUrl, db, ...observed }: Shared): Promise<Part> {
  const { logger } = observed;
  const model = openSummaryModel(config);
  const store = queueStore(config, databaseUrl);
  const queue = await openSummaryQueue(store, logger);
  const summaries = { db, model, logger, settings: config.summaries };
  const sweepMs = config.summaries.sweepSeconds * 1_000;
  const worker = await startSummaryWorker(store, queue, summaries, { sweepMs, ...observed });
  return {
    async close() {
      await worker.close();
      await queue.close();
      await model.close();
    },
  };
}

async function serveRecall({ config, databaseUrl, db, ...observed }: Shared): Promise<Part> {
  const vectors = openVectorIndex(config, db, observed.logger);
  const store = queueStore(config, databaseUrl);
  const worker = await startRecallWorker(store, { db, vectors }, observed);
  return {
    async close() {
      await worker.close();
      await vectors?.embedder.close();
    },
  };
}
