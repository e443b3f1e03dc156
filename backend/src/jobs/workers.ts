import { createPostgresBackend, UnrecoverableError, Worker } from 'bullmq';
import type { Job } from 'bullmq';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { asAppError } from '#src/errors.ts';
import { noteSummaryFailure } from '#src/memory/summarize-session.ts';
import type { JobMetrics } from '#src/metrics.ts';
import { withRequestId } from '#src/memory/summaries.ts';
import type { Summaries } from '#src/memory/summaries.ts';
import { sweepSessions } from '#src/memory/sweep-sessions.ts';
import { workOnSession } from '#src/memory/work-on-session.ts';
import { createOutageLog } from './outage-log.ts';
import { postgresConnection, redisPrefix, SummarizePayload, summaryQueueName } from './queues.ts';
import type { QueueStore, SummaryQueue } from './queues.ts';

/** Summaries that one process has in the making at once. */
const CONCURRENCY = 4;
/** After this time without a sign of life a job counts as lost with its process and runs again. */
const LOCK_MS = 10_000;
/** How soon the sweep is back in a queue that was lost. */
const SCHEDULE_EVERY_MS = 10_000;
/** How long a summary in the making may still take when the process is told to stop. */
const DRAIN_MS = 5_000;
/** How long a job that is cut off may take to be given back. */
const CUT_OFF_MS = 500;

/**
 * Works on the queue, and keeps the sweep's schedule in it. `close` takes no more jobs and waits
 * a moment for the running ones; what is cut off then runs again elsewhere.
 */
export async function startSummaryWorker(
  store: QueueStore,
  queue: SummaryQueue,
  summaries: Summaries,
  { sweepMs, metrics }: { sweepMs: number; metrics: JobMetrics },
): Promise<{ close: () => Promise<void> }> {
  const stop = { closing: new AbortController(), cutOff: new AbortController() };
  const { worker, disconnect } = openWorker(store, (job) =>
    counted(metrics, job.name === 'sweep' ? 'sweep' : 'summarize', () =>
      job.name === 'sweep'
        ? sweepSessions(summaries, queue.enqueueForgotten)
        : summarize(job, summaries, stop),
    ),
  );
  const outage = createOutageLog(summaries.logger, "the worker's queue");
  worker.on('error', outage.failed);
  worker.on('active', outage.worked);
  if (store.backend === 'postgres') await worker.waitUntilReady();

  const schedule = () => {
    if (queue.isReady()) queue.scheduleSweep(sweepMs).catch(outage.failed);
  };
  schedule();
  const timer = setInterval(schedule, Math.min(sweepMs, SCHEDULE_EVERY_MS));
  return {
    async close() {
      clearInterval(timer);
      outage.end();
      stop.closing.abort();
      const closed = worker.close();
      await Promise.race([closed, sleep(DRAIN_MS, undefined, { ref: false })]);
      stop.cutOff.abort();
      await Promise.race([closed, sleep(CUT_OFF_MS, undefined, { ref: false })]);
      disconnect();
    },
  };
}

interface Stop {
  /** The process is told to stop: nothing new is begun. */
  closing: AbortController;
  /** Its time is up. */
  cutOff: AbortController;
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

async function summarize(job: Job, all: Summaries, stop: Stop): Promise<void> {
  const payload = SummarizePayload.safeParse(job.data);
  if (!payload.success) throw new UnrecoverableError(`no such payload: ${payload.error.message}`);
  const { session_id: sessionId, request_id: requestId } = payload.data;
  const summaries = withRequestId(all, requestId);
  try {
    await summarizeWhenModelAnswers(summaries, sessionId, stop);
  } catch (error) {
    if (stop.closing.signal.aborted) throw error;
    const { message, details } = asAppError(error);
    const isPermanent = details.isPermanent === true;
    const isLast = job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
    await noteSummaryFailure(summaries, sessionId, error, isPermanent || isLast);
    throw isPermanent ? new UnrecoverableError(message) : error;
  }
}

/** A model that is left alone is no failure of the job: it waits, and keeps its place so that no other is begun. */
async function summarizeWhenModelAnswers(
  summaries: Summaries,
  sessionId: string,
  { closing, cutOff }: Stop,
): Promise<void> {
  for (;;) {
    try {
      await workOnSession(summaries, sessionId, cutOff.signal);
      return;
    } catch (error) {
      const { code, details } = asAppError(error);
      if (code !== 'model_paused') throw error;
      const { signal } = closing;
      await sleep((details.retryAfterSeconds ?? 1) * 1_000, undefined, { signal });
    }
  }
}

const workerOptions = {
  concurrency: CONCURRENCY,
  lockDuration: LOCK_MS,
  stalledInterval: LOCK_MS,
  // Being lost says nothing about a job: a deploy may cut it off any number of times.
  maxStalledCount: 100,
};

function openWorker(store: QueueStore, processor: (job: Job) => Promise<unknown>) {
  if (store.backend === 'postgres') {
    const connection = postgresConnection(store.url, CONCURRENCY);
    const options = { ...workerOptions, connection };
    const worker = new Worker(summaryQueueName, processor, options, createPostgresBackend);
    return { worker, disconnect: () => {} };
  }
  const connection = new Redis(store.url, {
    maxRetriesPerRequest: null,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2_000),
  });
  const options = { ...workerOptions, connection, prefix: redisPrefix };
  const worker = new Worker(summaryQueueName, processor, options);
  return { worker, disconnect: () => connection.disconnect() };
}
