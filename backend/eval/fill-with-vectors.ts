import { randomUUID } from 'node:crypto';
import { environmentWith, loadConfig } from '#src/config.ts';
import type { Db } from '#src/db/connect.ts';
import { createLogger } from '#src/logger.ts';
import { indexVectors } from '#src/memory/recall/index-vectors.ts';
import { measureModel } from '#src/memory/recall/measure-model.ts';
import type { VectorSearch } from '#src/memory/recall/vector-search.ts';
import { openVectorIndex, openVectorSearch } from '#src/open-vectors.ts';

const never = new AbortController().signal;

/** Gives all that is stored its vectors; undefined where none are configured. `close` drops them. */
export async function fillWithVectors(
  db: Db,
): Promise<(VectorSearch & { model: string; close: () => Promise<void> }) | undefined> {
  // Nobody waits here: what is measured is what is found.
  const config = loadConfig(environmentWith({ RECALL_TIMEOUT_MS: '60000' }));
  const index = openVectorIndex(config, db, createLogger('silent'));
  const search = openVectorSearch(config, db, createLogger('silent'));
  if (index === undefined || search === undefined) return undefined;
  // The store may hold another database's vectors of this model.
  const name = `evaluation_${randomUUID()}`;
  index.own = { ...(await measureModel(index.embedder, never)), name };
  while ((await indexVectors(index, never)) > 0);
  return {
    ...search,
    model: index.embedder.model,
    async close() {
      await index.store.dropCollection(name);
      await index.embedder.close();
      await search.close();
    },
  };
}
