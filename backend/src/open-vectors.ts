import { createEmbedder } from './clients/embedder.ts';
import { openVectorStore } from './clients/vector-store.ts';
import type { Config } from './config.ts';
import type { Db } from './db/connect.ts';
import type { Logger } from './logger.ts';
import { createVectorSearch } from './memory/recall/vector-search.ts';
import type { VectorSearch } from './memory/recall/vector-search.ts';
import type { VectorIndex, Vectors } from './memory/recall/vectors.ts';

/** The vectors' half of the recall, where it is configured. Nothing is sent yet. */
function openVectors(config: Config, db: Db, logger: Logger): Vectors | undefined {
  if (config.vectors === undefined) return undefined;
  const { store, embeddings, timeoutMs } = config.vectors;
  return {
    db,
    logger,
    embedder: createEmbedder(embeddings),
    store: openVectorStore({ ...store, searchTimeoutMs: timeoutMs }),
  };
}

/** The same for a process that fills the store. */
export function openVectorIndex(config: Config, db: Db, logger: Logger): VectorIndex | undefined {
  const vectors = openVectors(config, db, logger);
  return vectors && { ...vectors, isOpen: false, wasActive: false, failures: 0, restUntil: 0 };
}

/** What a process that serves chats searches, where it is configured. */
export function openVectorSearch(
  config: Config,
  db: Db,
  logger: Logger,
): (VectorSearch & { close: () => Promise<void> }) | undefined {
  const vectors = openVectors(config, db, logger);
  const { recall } = config.chat;
  if (vectors === undefined || config.vectors === undefined || recall === undefined) {
    return undefined;
  }
  const search = createVectorSearch(vectors, recall, config.vectors.timeoutMs);
  return { ...search, close: () => vectors.embedder.close() };
}
