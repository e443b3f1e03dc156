import { createPostgresBackend, Worker } from 'bullmq';
import type { Job } from 'bullmq';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#src/logger.ts';
import type { JobMetrics } from '#src/metrics.ts';
import { postgresConnection, redisPrefix } from './open-queue.ts';
import type { OpenQueue, QueueStore } from './open-queue.ts';
import { createOutageLog } from './outage-log.ts';

/** What a worker does with the jobs of one queue. */
export interface Work {
  queueName: string;
  /** Jobs that one process has in the making at once. */
  concurrency: number;
  process: (job: Job, stop: Stop) => Promise<void>;
  /** Jobs that come by themselves, and how often. */
  schedules: { jobName: string; everyMs: number }[];
}

/** Where it is told what the jobs do. */
export interface Observed {
  logger: Logger;
  metrics: JobMetrics;
}

export interface Stop {
  /** The process is told to stop: nothing new is begun. */
  closing: AbortSignal;
  /** Its time is up. */
  cutOff: AbortSignal;
}

/** After this time without a sign of life a job counts as lost with its process and runs again. */
const LOCK_MS = 10_000;
/** How soon the schedules are back in a queue that was lost. */
const SCHEDULE_EVERY_MS = 5_000;
/** How long a job may still take when the process is told to stop. */
const DRAIN_MS = 5_000;
/** How long a job that is cut off may take to be given back. */
const CUT_OFF_MS = 500;

/**
 * Works on a queue, and keeps its schedules in it. `close` takes no more jobs and waits a moment
 * for the running ones; what is cut off then runs again elsewhere.
 */
export async function startWorker(
  store: QueueStore,
  queue: Pick<OpenQueue, 'isReady' | 'schedule'>,
  work: Work,
  { logger, metrics }: Observed,
): Promise<{ close: () => Promise<void> }> {
  const closing = new AbortController();
  const cutOff = new AbortController();
  const stop = { closing: closing.signal, cutOff: cutOff.signal };
  const { worker, disconnect } = openWorker(store, work, (job) =>
    counted(metrics, job.name, () => work.process(job, stop)),
  );
  const outage = createOutageLog(logger, `the worker's queue of ${work.queueName}`);
  worker.on('error', outage.failed);
  worker.on('active', outage.worked);
  if (store.backend === 'postgres') await worker.waitUntilReady();

  const schedule = () => {
    if (!queue.isReady()) return;
    for (const { jobName, everyMs } of work.schedules) {
      queue.schedule(jobName, everyMs).catch(outage.failed);
    }
  };
  schedule();
  const timer = setInterval(schedule, SCHEDULE_EVERY_MS);

  return {
    async close() {
      clearInterval(timer);
      outage.end();
      closing.abort();
      const closed = worker.close();
      await Promise.race([closed, sleep(DRAIN_MS, undefined, { ref: false })]);
      cutOff.abort();
      await Promise.race([closed, sleep(CUT_OFF_MS, undefined, { ref: false })]);
      disconnect();
    },
  };
}

async function counted(
  { jobs, jobSeconds }: JobMetrics,
  job: string,
  work: () => Promise<void>,
): Promise<void> {
  const stopClock = jobSeconds.startTimer({ job });
  try {
    await work();
    jobs.inc({ job, outcome: 'completed' });
  } catch (error) {
    jobs.inc({ job, outcome: 'failed' });
    throw error;
  } finally {
    stopClock();
  }
}

function openWorker(
  store: QueueStore,
  { queueName, concurrency }: Work,
  processor: (job: Job) => Promise<unknown>,
) {
  const workerOptions = {
    concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: LOCK_MS,
    // Being lost says nothing about a job: a deploy may cut it off any number of times.
    maxStalledCount: 100,
  };
  if (store.backend === 'postgres') {
    const connection = postgresConnection(store.url, concurrency);
    const options = { ...workerOptions, connection };
    const worker = new Worker(queueName, processor, options, createPostgresBackend);
    return { worker, disconnect: () => {} };
  }
  const connection = new Redis(store.url, {
    maxRetriesPerRequest: null,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2_000),
  });
  const options = { ...workerOptions, connection, prefix: redisPrefix };
  const worker = new Worker(queueName, processor, options);
  return { worker, disconnect: () => connection.disconnect() };
}
