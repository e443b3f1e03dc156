import { withCircuit } from './clients/circuit.ts';
import { createModel } from './clients/create-model.ts';
import type { ClosableModel } from './clients/model.ts';
import type { Config } from './config.ts';
import type { Db } from './db/connect.ts';
import { openSummaryQueue } from './jobs/queues.ts';
import type { QueueStore } from './jobs/open-queue.ts';
import { requestThroughQueue } from './jobs/summary-requests.ts';
import type { Logger } from './logger.ts';
import { withRequestId } from './memory/summaries.ts';
import type { SummaryRequests } from './memory/summaries.ts';
import { tryToWorkOnSession } from './memory/work-on-session.ts';

export function queueStore(config: Config, databaseUrl: string): QueueStore {
  return config.redisUrl === undefined
    ? { backend: 'postgres', url: databaseUrl }
    : { backend: 'redis', url: config.redisUrl };
}

/** The model that writes summaries. A dead provider is not hammered with every session that waits. */
export function openSummaryModel(config: Config): ClosableModel {
  return withCircuit(createModel(config.summaries.model), { failures: 5, pauseMs: 30_000 });
}

const checkQueue = async () => null;

/** How a process that serves chats asks for their summaries. `closing` cuts off one within a request. */
export async function openSummaryRequests(
  config: Config,
  databaseUrl: string,
  { db, logger, closing }: { db: Db; logger: Logger; closing: AbortSignal },
): Promise<SummaryRequests & { close: () => Promise<void> }> {
  const { mode } = config.summaries;
  if (mode === 'queue') {
    const queue = await openSummaryQueue(queueStore(config, databaseUrl), logger);
    return { ...requestThroughQueue(queue), close: queue.close };
  }
  if (mode === 'off') {
    return { mode, request: async () => {}, checkQueue, close: async () => {} };
  }
  const model = openSummaryModel(config);
  const summaries = { db, model, logger, settings: config.summaries };
  return {
    mode,
    request: (sessionId, requestId) =>
      tryToWorkOnSession(withRequestId(summaries, requestId), sessionId, closing),
    checkQueue,
    close: () => model.close(),
  };
}
