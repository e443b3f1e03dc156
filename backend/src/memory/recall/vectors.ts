import type { Embedder } from '#src/clients/embedder.ts';
import type { VectorStore } from '#src/clients/vector-store.ts';
import type { Db } from '#src/db/connect.ts';
import type { VectorCollection } from '#src/db/vector-collections.ts';
import type { Logger } from '#src/logger.ts';

/** The vectors' half of the recall; made once per process by its entry, where a store is configured. */
export interface Vectors {
  db: Db;
  embedder: Embedder;
  store: VectorStore;
  logger: Logger;
}

/** The same for a process that fills the store. */
export interface VectorIndex extends Vectors {
  /** The configured model's; undefined until the embeddings server has told its dimension. */
  own?: VectorCollection;
  /** Whether `own` is known to be there, and in the table. */
  isOpen: boolean;
  /** Whether `own` was searched already: where it is not any more, another process has a newer model. */
  wasActive: boolean;
  /** How often in a row a service failed, and until when (`performance.now()`) both are left alone. */
  failures: number;
  restUntil: number;
}
