import { sql } from 'kysely';
import type { FoundVector, VectorScope } from '#src/clients/vector-store.ts';
import type { Db } from '#src/db/connect.ts';
import type { RecalledMemory, RecallScope } from '#src/db/memory.ts';
import { findSearchedCollection } from '#src/db/vector-collections.ts';
import type { VectorCollection } from '#src/db/vector-collections.ts';
import { checkVectors } from './check-vectors.ts';
import type { VectorHealth } from './check-vectors.ts';
import type { Vectors } from './vectors.ts';

/** What memories are looked for, and where; `windowFrom` leaves out what stands in a prompt already. */
export interface VectorQuery {
  text: string;
  scope: RecallScope;
  chatId: string;
  userId?: string;
  sessionId?: string;
  windowFrom?: string;
}

export interface VectorSearch {
  /** Where a turn looks for memories, and how many it takes. */
  readonly ofTurn: { scope: RecallScope; limit: number };
  /**
   * The memories most similar to a text, best first. Never rejects, and takes no longer than its
   * time: `failure` then says which part was not there, as a short code.
   */
  find(query: VectorQuery): Promise<{ hits: RecalledMemory[]; failure?: string }>;
  check(): Promise<VectorHealth>;
}

/** More than a prompt takes: the window's own messages are among the most similar. */
const LIMIT = 64;
/** Of what the best has above the floor; what has less does not help beside it. */
const SHARE_OF_BEST = 0.5;
/** After a failure no turn waits for the services for so long. */
const PAUSE_MS = 5_000;
/** How long a process goes on searching a collection that was replaced. */
const REMEMBER_MS = 5_000;

export function createVectorSearch(
  vectors: Vectors,
  ofTurn: VectorSearch['ofTurn'],
  timeoutMs: number,
): VectorSearch {
  const { db, embedder, store, logger } = vectors;
  let known: { collection: VectorCollection; until: number } | undefined;
  let pause = { until: 0, failure: '' };

  async function getCollection(): Promise<VectorCollection | undefined> {
    if (known !== undefined && performance.now() < known.until) return known.collection;
    const collection = await findSearchedCollection(db);
    known = collection && { collection, until: performance.now() + REMEMBER_MS };
    return collection;
  }

  async function search(query: VectorQuery, signal: AbortSignal, enter: (part: string) => void) {
    enter('database');
    const collection = await getCollection();
    if (collection === undefined) return { hits: [], failure: 'vectors_not_ready' };
    enter('embeddings');
    const [vector = []] = await embedder.embed([query.text], signal, collection.model);
    if (vector.length !== collection.dimension) {
      throw new Error(`embeddings: ${vector.length} dimensions, not ${collection.dimension}`);
    }
    enter('vector_store');
    const scope = scopeOf(query);
    const { name, floor } = collection;
    const found = await store.search(name, vector, { scope, limit: LIMIT, floor });
    enter('database');
    return { hits: found.length > 0 ? await readMemories(db, query, found, floor) : [] };
  }

  return {
    ofTurn,
    check: () => checkVectors(vectors),
    async find(query) {
      if (performance.now() < pause.until) return { hits: [], failure: pause.failure };
      const signal = AbortSignal.timeout(timeoutMs);
      let part = '';
      try {
        return await Promise.race([search(query, signal, (name) => (part = name)), over(signal)]);
      } catch (error) {
        known = undefined;
        const failure = `${part}_${signal.aborted ? 'timed_out' : 'failed'}`;
        pause = { until: performance.now() + PAUSE_MS, failure };
        logger.warn({ err: error, failure }, 'recall: no vectors were searched for a reply');
        return { hits: [], failure };
      }
    },
  };
}

/** Rejects when the time is up. */
function over(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function scopeOf({ scope, chatId, userId, sessionId }: VectorQuery): VectorScope {
  if (scope === 'user') return { chatId, userId };
  return scope === 'session' ? { chatId, sessionId } : { chatId };
}

/**
 * The vector store is believed in nothing but similarity: whose a memory is and what it says is read
 * from its row, and a vector of another text than that is none.
 */
async function readMemories(
  db: Db,
  query: VectorQuery,
  found: FoundVector[],
  floor: number,
): Promise<RecalledMemory[]> {
  const { rows } = await sql<{ memory: RecalledMemory; similarity: number }>`
    select memory_as_json(e, score) as memory, v.similarity
      from jsonb_to_recordset(${JSON.stringify(found)}::jsonb)
          as v (id bigint, version text, similarity double precision)
        cross join lateral recallable(v.id, ${query.chatId}, ${query.userId ?? null},
          ${query.sessionId ?? null}, ${query.windowFrom ?? null}, ${query.text}, ${query.scope}) as e
        cross join lateral (select v.similarity * e.importance * recall_weight(e.content) as score) as s
      where md5(e.content) = v.version
      order by score desc`.execute(db);
  const best = Math.max(floor, ...rows.map(({ similarity }) => similarity));
  const least = floor + SHARE_OF_BEST * (best - floor);
  return rows.filter(({ similarity }) => similarity >= least).map(({ memory }) => memory);
}
