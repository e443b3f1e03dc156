import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '#src/db/connect.ts';
import type { Logger } from '#src/logger.ts';
import { indexMemories } from './index-memories.ts';

/** The newest messages stand in the window anyway, so the index may lag behind them. */
const LOOK_EVERY_MS = 1_000;

/**
 * Indexes what is new, batch after batch, until it is stopped; the returned function does that and
 * resolves when the last batch is done. An outage is logged and waited out.
 */
export function startIndexKeeper(db: Db, logger: Logger): () => Promise<void> {
  const stopped = new AbortController();
  const running = keepIndexing(db, logger, stopped.signal);
  return async () => {
    stopped.abort();
    await running;
  };
}

async function keepIndexing(db: Db, logger: Logger, stopped: AbortSignal): Promise<void> {
  while (!stopped.aborted) {
    const taken = await indexMemories(db).catch((error: unknown) => {
      logger.warn({ err: error }, 'recall index: will try again');
      return 0;
    });
    if (taken === 0) await sleep(LOOK_EVERY_MS, undefined, { signal: stopped }).catch(() => {});
  }
}
