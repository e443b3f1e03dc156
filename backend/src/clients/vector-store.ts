import { QdrantClient } from '@qdrant/js-client-rest';

/** What is kept of a memory beside its vector: whose it is, and of which text the vector is. */
export interface VectorPayload {
  chat_id: string;
  user_id: string;
  session_id: string;
  /** Digest of the embedded text. */
  version: string;
}

/** Only these are searched: of the chat, and where given also of the user, or only of the session. */
export interface VectorScope {
  chatId: string;
  userId?: string;
  sessionId?: string;
}

export interface FoundVector {
  /** Of the row in `embeddings`. */
  id: string;
  version: string;
  /** Cosine. */
  similarity: number;
}

export interface VectorStoreConfig {
  url: string;
  apiKey: string | undefined;
  searchTimeoutMs: number;
}

/** Writing may wait for the store's disk. */
const WRITE_TIMEOUT_MS = 20_000;

export type VectorStore = ReturnType<typeof openVectorStore>;

/**
 * Vectors in Qdrant. A point's id is that of its row in `embeddings`, so whatever is repeated is
 * harmless. Nothing is sent before the first call; every call rejects with one line that says why.
 */
export function openVectorStore({ url, apiKey, searchTimeoutMs }: VectorStoreConfig) {
  const open = (timeout: number) =>
    new QdrantClient({
      url,
      // With `apiKey` it would print a warning where a private network needs no TLS.
      headers: apiKey === undefined ? {} : { 'api-key': apiKey },
      timeout,
      checkCompatibility: false,
    });
  const client = open(WRITE_TIMEOUT_MS);
  const searcher = open(searchTimeoutMs);

  return {
    /** Makes the collection where it is not there; resolves with whether it was not. */
    async ensureCollection(collection: string, dimension: number): Promise<boolean> {
      const { exists } = await ask(client.collectionExists(collection));
      if (!exists) {
        const vectors = { size: dimension, distance: 'Cosine' as const };
        await ask(client.createCollection(collection, { vectors })).catch(async (error) => {
          // Another process may have been first.
          if (!(await ask(client.collectionExists(collection))).exists) throw error;
        });
      }
      for (const field of ['chat_id', 'user_id', 'session_id']) {
        const schema = { type: 'keyword' as const, is_tenant: field === 'chat_id' };
        const index = { field_name: field, field_schema: schema, wait: true };
        await ask(client.createPayloadIndex(collection, index));
      }
      return !exists;
    },

    async upsert(
      collection: string,
      points: { id: string; vector: number[]; payload: VectorPayload }[],
    ): Promise<void> {
      const withNumbers = points.map(({ id, vector, payload }) => ({
        id: Number(id),
        vector,
        payload: { ...payload },
      }));
      await ask(client.upsert(collection, { wait: true, points: withNumbers }));
    },

    async remove(collection: string, ids: string[]): Promise<void> {
      await ask(client.delete(collection, { wait: true, points: ids.map(Number) }));
    },

    /** The nearest, best first. */
    async search(
      collection: string,
      vector: number[],
      { scope, limit, floor }: { scope: VectorScope; limit: number; floor: number },
    ): Promise<FoundVector[]> {
      const { points } = await ask(
        searcher.query(collection, {
          query: vector,
          filter: toFilter(scope),
          limit,
          score_threshold: floor,
          with_payload: ['version'],
        }),
      );
      return points.map(({ id, score, payload }) => ({
        id: String(id),
        version: versionOf(payload),
        similarity: score,
      }));
    },

    /** The versions of the texts by id, in the ids' order, after `after`. */
    async list(collection: string, after: number, limit: number): Promise<Map<number, string>> {
      const { points } = await ask(
        client.scroll(collection, {
          offset: after + 1,
          limit,
          with_payload: ['version'],
          with_vector: false,
        }),
      );
      return new Map(points.map(({ id, payload }) => [Number(id), versionOf(payload)]));
    },

    async dropCollection(collection: string): Promise<void> {
      await ask(client.deleteCollection(collection));
    },

    async check(): Promise<void> {
      await ask(searcher.getCollections());
    },
  };
}

function toFilter({ chatId, userId, sessionId }: VectorScope) {
  const match = (key: keyof VectorPayload, value: string) => ({ key, match: { value } });
  const chat = match('chat_id', chatId);
  if (userId !== undefined) return { should: [chat, match('user_id', userId)] };
  return { must: sessionId === undefined ? [chat] : [chat, match('session_id', sessionId)] };
}

function versionOf(payload: Record<string, unknown> | null | undefined): string {
  return typeof payload?.version === 'string' ? payload.version : '';
}

async function ask<Answer>(call: Promise<Answer>): Promise<Answer> {
  try {
    return await call;
  } catch (error) {
    const status: unknown = error instanceof Error ? Reflect.get(error, 'status') : undefined;
    const reason =
      typeof status === 'number' ? `HTTP ${status}` : 'it does not answer; check QDRANT_URL';
    throw new Error(`vector store: ${reason}`, { cause: error });
  }
}
