import { countPendingMemories } from '#src/db/memory-ledger.ts';
import { countSummaryWork } from '#src/db/summary-work.ts';
import type { Registry } from '#src/metrics.ts';
import type { Chat } from './chat.ts';
import { answered } from './check-health.ts';

/** All metrics of the process, with its gauges as they stand now; NaN is what could not be counted in time. */
export async function showMetrics(chat: Chat, registry: Registry): Promise<string> {
  const { metrics, pool, settings, statements } = chat;
  const [summaries, index] = await Promise.all([
    answered(countSummaryWork(chat.db, settings.summaryThreshold)),
    settings.recall && answered(countPendingMemories(chat.db, chat.vectors !== undefined)),
  ]);
  metrics.summariesWaiting.set(summaries?.waiting ?? Number.NaN);
  metrics.summariesFailed.set(summaries?.failed ?? Number.NaN);
  metrics.summariesOldestSeconds.set(
    summaries === undefined ? Number.NaN : (summaries.oldest_waiting_seconds ?? 0),
  );
  metrics.indexPending.set(index?.rows ?? Number.NaN);
  metrics.indexOldestSeconds.set(index?.oldest_seconds ?? Number.NaN);

  const turns = [...chat.running.values()];
  const answering = turns.filter(({ attempt }) => attempt !== undefined && attempt > 0).length;
  metrics.runningTurns.set({ state: 'answering' }, answering);
  metrics.runningTurns.set({ state: 'waiting' }, turns.length - answering);
  metrics.databaseConnections.set({ state: 'idle' }, pool.idleCount);
  metrics.databaseConnections.set({ state: 'busy' }, pool.totalCount - pool.idleCount);
  metrics.databaseWaiting.set(pool.waitingCount + statements.countWaiting());
  return await registry.metrics();
}
