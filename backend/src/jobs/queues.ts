import type { JobsOptions } from 'bullmq';
import { z } from 'zod';
import type { Logger } from '#src/logger.ts';
import { openQueue, whenEnded } from './open-queue.ts';
import type { OpenQueue, QueueStore } from './open-queue.ts';

export const summaryQueueName = 'summaries';

/** Payloads hold ids; the rows hold the truth. */
export const SummarizePayload = z.object({
  session_id: z.uuid(),
  /** Of the call that led to it, for the log; none where the sweep did. */
  request_id: z.string().optional(),
});

const summarizeOptions = {
  ...whenEnded,
  attempts: 5,
  backoff: { type: 'exponential', delay: 2_000, jitter: 0.5 },
} satisfies JobsOptions;

export interface SummaryQueue extends Pick<OpenQueue, 'isReady' | 'schedule' | 'close'> {
  readonly backend: QueueStore['backend'];
  /** One job a session at a time: a second one is not added. */
  enqueueSummary: (sessionId: string, requestId?: string) => Promise<void>;
  /** The same, also where an outage left something in the way that looks like a job. Resolves with how many had none. */
  enqueueForgotten: (sessionIds: string[]) => Promise<number>;
  countJobs: () => Promise<{ waiting: number; active: number; delayed: number }>;
}

export async function openSummaryQueue(store: QueueStore, logger: Logger): Promise<SummaryQueue> {
  const { queue, outage, isReady, schedule, close } = await openQueue(
    store,
    summaryQueueName,
    logger,
  );

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
    schedule,
    close,
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
    async countJobs() {
      const counts = await queue.getJobCounts('waiting', 'active', 'delayed');
      return {
        waiting: counts.waiting ?? 0,
        active: counts.active ?? 0,
        delayed: counts.delayed ?? 0,
      };
    },
  };
}
