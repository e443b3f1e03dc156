import { setTimeout as sleep } from 'node:timers/promises';
import type { QueueHealth, SummaryRequests } from '#src/memory/summaries.ts';
import type { SummaryQueue } from './queues.ts';

/** Requests that may be on their way at once; what comes beyond is left to the sweep. */
const MAX_ON_THE_WAY = 1_000;
const PROBE_TIMEOUT_MS = 1_000;

/** Summaries through the queue. A request returns at once, whatever the queue does. */
export function requestThroughQueue(queue: SummaryQueue): SummaryRequests {
  const onTheWay = new Set<string>();
  return {
    mode: 'queue',
    async request(sessionId, requestId) {
      if (!queue.isReady() || onTheWay.has(sessionId) || onTheWay.size >= MAX_ON_THE_WAY) return;
      onTheWay.add(sessionId);
      queue
        .enqueueSummary(sessionId, requestId)
        // The queue has logged it, and the sweep makes up for it.
        .catch(() => {})
        .finally(() => onTheWay.delete(sessionId));
    },
    checkQueue: () => checkQueue(queue),
  };
}

async function checkQueue(queue: SummaryQueue): Promise<QueueHealth> {
  const counts = queue.isReady()
    ? await Promise.race([
        queue.countJobs().catch(() => undefined),
        sleep(PROBE_TIMEOUT_MS, undefined, { ref: false }),
      ])
    : undefined;
  const { backend } = queue;
  if (counts === undefined) {
    return { backend, status: 'down', waiting: null, active: null, delayed: null };
  }
  return { backend, status: 'ok', ...counts };
}
