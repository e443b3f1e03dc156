import { createPostgresBackend, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import type { Logger } from '#src/logger.ts';
import { createOutageLog } from './outage-log.ts';
import type { OutageLog } from './outage-log.ts';

/** Where the jobs wait. Losing them all loses nothing: their work is found again in the rows. */
export interface QueueStore {
  backend: 'redis' | 'postgres';
  url: string;
}

export interface OpenQueue {
  queue: ReturnType<typeof openRedis>['queue'] | ReturnType<typeof openPostgres>['queue'];
  outage: OutageLog;
  /** False while the queue cannot be reached: what is added then would wait in memory. */
  isReady: () => boolean;
  /** Can be repeated: makes the schedule anew where it is gone, and else changes nothing. */
  schedule: (jobName: string, everyMs: number) => Promise<void>;
  close: () => Promise<void>;
}

export const redisPrefix = 'llm-bot-core';

/** Nothing of an ended job stays, so that its id is free for the next one. */
export const whenEnded = { removeOnComplete: true, removeOnFail: true };

/** Opens a queue. PostgreSQL must be there; Redis may come later, or go and come back. */
export async function openQueue(
  store: QueueStore,
  name: string,
  logger: Logger,
): Promise<OpenQueue> {
  const outage = createOutageLog(logger, `the queue of ${name}`);
  const { queue, isReady, close } =
    store.backend === 'redis' ? openRedis(store.url, name) : openPostgres(store.url, name);
  queue.on('error', outage.failed);
  queue.getBackend().on('ready', outage.worked);
  if (store.backend === 'postgres') await queue.waitUntilReady();
  return {
    queue,
    outage,
    isReady,
    async schedule(jobName, everyMs) {
      await queue.upsertJobScheduler(
        jobName,
        { every: everyMs },
        { name: jobName, opts: whenEnded },
      );
    },
    close: () => {
      outage.end();
      return close();
    },
  };
}

/** A command that gets no answer fails instead of waiting in memory; the next attempt to connect comes soon. */
const producerOptions = {
  enableOfflineQueue: false,
  commandTimeout: 2_000,
  retryStrategy: (attempt: number) => Math.min(attempt * 100, 2_000),
};

function openRedis(url: string, name: string) {
  const connection = new Redis(url, producerOptions);
  const queue = new Queue(name, { connection, prefix: redisPrefix });
  return {
    queue,
    isReady: () => connection.status === 'ready',
    close: async () => {
      connection.disconnect();
      await queue.close();
    },
  };
}

function openPostgres(url: string, name: string) {
  const queue = new Queue(name, { connection: postgresConnection(url, 2) }, createPostgresBackend);
  return { queue, isReady: () => true, close: () => queue.close() };
}

/** BullMQ keeps its tables in a schema of its own, and upgrades them itself. */
export function postgresConnection(url: string, max: number) {
  return {
    connectionString: url,
    schema: 'bullmq',
    migrate: true,
    max,
    connectionTimeoutMillis: 5_000,
    query_timeout: 30_000,
    application_name: 'llm-bot-core queue',
  };
}
