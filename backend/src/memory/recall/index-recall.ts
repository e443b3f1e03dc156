import type { Db } from '#src/db/connect.ts';
import { indexMemories } from './index-memories.ts';
import { indexVectors } from './index-vectors.ts';
import { sweepMessages } from './sweep-messages.ts';
import type { VectorIndex } from './vectors.ts';

const LONGEST_REST_SECONDS = 60;

/**
 * Puts all that waits in the ledger into the index of words, batch after batch; when that is done,
 * what the ledger was not told of, page after page, so that nothing new waits long for old things.
 */
export async function indexAllWords(
  db: Db,
  options: { withVectors: boolean },
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted && ((await indexMemories(db, options)) > 0 || (await sweepMessages(db))));
}

/** Gives all that waits its vectors. A service that fails is left alone for a time that doubles. */
export async function indexAllVectors(index: VectorIndex, stop: AbortSignal): Promise<void> {
  if (performance.now() < index.restUntil) return;
  try {
    while (!stop.aborted && (await indexVectors(index, stop)) > 0);
    if (index.failures > 0) index.logger.info('recall: vectors are stored again');
    index.failures = 0;
  } catch (error) {
    if (stop.aborted) return;
    if (index.failures === 0) {
      index.logger.warn({ err: error }, 'recall: vectors cannot be stored; their rows wait');
    }
    index.failures += 1;
    const seconds = Math.min(2 ** index.failures, LONGEST_REST_SECONDS);
    index.restUntil = performance.now() + seconds * 1_000;
  }
}
