import { UnrecoverableError } from 'bullmq';
import type { Job } from 'bullmq';
import { setTimeout as sleep } from 'node:timers/promises';
import { asAppError } from '#src/errors.ts';
import { noteSummaryFailure } from '#src/memory/summarize-session.ts';
import { withRequestId } from '#src/memory/summaries.ts';
import type { Summaries } from '#src/memory/summaries.ts';
import { sweepSessions } from '#src/memory/sweep-sessions.ts';
import { workOnSession } from '#src/memory/work-on-session.ts';
import type { QueueStore } from './open-queue.ts';
import { SummarizePayload, summaryQueueName } from './queues.ts';
import type { SummaryQueue } from './queues.ts';
import { startWorker } from './start-worker.ts';
import type { Observed, Stop } from './start-worker.ts';

/** Works on the queue of summaries. */
export async function startSummaryWorker(
  store: QueueStore,
  queue: SummaryQueue,
  summaries: Summaries,
  { sweepMs, ...observed }: { sweepMs: number } & Observed,
): Promise<{ close: () => Promise<void> }> {
  const work = {
    queueName: summaryQueueName,
    concurrency: 4,
    schedules: [{ jobName: 'sweep', everyMs: sweepMs }],
    process: (job: Job, stop: Stop) =>
      job.name === 'sweep'
        ? sweepSessions(summaries, queue.enqueueForgotten)
        : summarize(job, summaries, stop),
  };
  return await startWorker(store, queue, work, observed);
}

async function summarize(job: Job, all: Summaries, stop: Stop): Promise<void> {
  const payload = SummarizePayload.safeParse(job.data);
  if (!payload.success) throw new UnrecoverableError(`no such payload: ${payload.error.message}`);
  const { session_id: sessionId, request_id: requestId } = payload.data;
  const summaries = withRequestId(all, requestId);
  try {
    await summarizeWhenModelAnswers(summaries, sessionId, stop);
  } catch (error) {
    if (stop.closing.aborted) throw error;
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
      await workOnSession(summaries, sessionId, cutOff);
      return;
    } catch (error) {
      const { code, details } = asAppError(error);
      if (code !== 'model_paused') throw error;
      await sleep((details.retryAfterSeconds ?? 1) * 1_000, undefined, { signal: closing });
    }
  }
}
