import { createPostgresBackend, Queue } from 'bullmq';
import type { JobsOptions } from 'bullmq';
import { Redis } from 'ioredis';
import { z } from 'zod';
import type { Logger } from '#src/logger.ts';
import { createOutageLog } from './outage-log.ts';

/** Where the jobs wait. Losing them all loses nothing: the sweep finds the work again in the rows. */
export interface QueueStore {
  backend: 'redis' | 'postgres';
  url: string;
}

export const summaryQueueName = 'summaries';
export const redisPrefix = 'llm-bot-core';

/** Payloads hold ids; the rows hold the truth. */
export const SummarizePayload = z.object({
  session_id: z.uuid(),
  /** Of the call that led to it, for the log; none where the sweep did. */
  request_id: z.string().optional(),
});

/** Nothing of an ended job stays, so that its id is free for the session's next one. */
const whenEnded = { removeOnComplete: true, removeOnFail: true };
const summarizeOptions = {
  ...whenEnded,
  attempts: 5,
  backoff: { type: 'exponential', delay: 2_000, jitter: 0.5 },
} satisfies JobsOptions;

const sweepId = 'sweep';

export interface SummaryQueue {
  readonly backend: QueueStore['backend'];
  /** False while the queue cannot be reached: what is added then would wait in memory. */
  isReady: () => boolean;
  /** One job a session at a time: a second one is not added. */
  enqueueSummary: (sessionId: string, requestId?: string) => Promise<void>;
  /** The same, also where an outage left something in the way that looks like a job. Resolves with how many had none. */
  enqueueForgotten: (sessionIds: string[]) => Promise<number>;
  /** Can be repeated: makes the schedule anew where it is gone, and else changes nothing. */
  scheduleSweep: (everyMs: number) => Promise<void>;
  countJobs: () => Promise<{ waiting: number; active: number; delayed: number }>;
  close: () => Promise<void>;
}

/** Opens the queue. PostgreSQL must be there; Redis may come later, or go and come back. */
export async function openSummaryQueue(store: QueueStore, logger: Logger): Promise<SummaryQueue> {
  const outage = createOutageLog(logger, 'the queue');
  const { queue, isReady, close } =
    store.backend === 'redis' ? openRedis(store.url) : openPostgres(store.url);
  queue.on('error', outage.failed);
  queue.getBackend().on('ready', outage.worked);
  if (store.backend === 'postgres') await queue.waitUntilReady();

  const enqueueSummary = async (sessionId: string, requestId?: string) => {
    const options = { ...summarizeOptions, jobId: sessionId };
    try {
      await queue.add('summarize', { session_id: sessionId, request_id: requestId }, options);
      outage.worked();
    } catch (error) {
      outage.failed(error);
      throw error;
    }
  };
  return {
    backend: store.backend,
    isReady,
    enqueueSummary,
    async enqueueForgotten(sessionIds) {
      let enqueued = 0;
      for (const sessionId of sessionIds) {
        const state = await queue.getJobState(sessionId);
        if (!['unknown', 'completed', 'failed'].includes(state)) continue;
        await queue.remove(sessionId);
        await enqueueSummary(sessionId);
        enqueued += 1;
      }
      return enqueued;
    },
    async scheduleSweep(everyMs) {
      await queue.upsertJobScheduler(
        sweepId,
        { every: everyMs },
        { name: 'sweep', opts: whenEnded },
      );
    },
    async countJobs() {
      const counts = await queue.getJobCounts('waiting', 'active', 'delayed');
      return {
        waiting: counts.waiting ?? 0,
        active: counts.active ?? 0,
        delayed: counts.delayed ?? 0,
      };
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

function openRedis(url: string) {
  const connection = new Redis(url, producerOptions);
  const queue = new Queue(summaryQueueName, { connection, prefix: redisPrefix });
  return {
    queue,
    isReady: () => connection.status === 'ready',
    close: async () => {
      connection.disconnect();
      await queue.close();
    },
  };
}

function openPostgres(url: string) {
  const queue = new Queue(
    summaryQueueName,
    { connection: postgresConnection(url, 2) },
    createPostgresBackend,
  );
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
