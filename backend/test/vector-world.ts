import { randomBytes } from 'node:crypto';
import { loadConfig } from '#src/config.ts';
import { connect } from '#src/db/connect.ts';
import type { Db } from '#src/db/connect.ts';
import { createLogger } from '#src/logger.ts';
import { indexMemories } from '#src/memory/recall/index-memories.ts';
import { indexVectors } from '#src/memory/recall/index-vectors.ts';
import { openCollection } from '#src/memory/recall/keep-collection.ts';
import { reconcileVectors } from '#src/memory/recall/reconcile-vectors.ts';
import type { Differences } from '#src/memory/recall/reconcile-vectors.ts';
import { searchMemories } from '#src/memory/recall/search-memories.ts';
import type { VectorSearch } from '#src/memory/recall/vector-search.ts';
import type { VectorIndex } from '#src/memory/recall/vectors.ts';
import { openVectorIndex, openVectorSearch } from '#src/open-vectors.ts';
import { openSql } from './api.ts';
import type { Sql } from './api.ts';
import { createTestDatabase } from './database.ts';
import { eventually } from './eventually.ts';
import { startFakeEmbeddings } from './fake-embeddings.ts';
import type { FakeEmbeddings } from './fake-embeddings.ts';
import { startVectorStore } from './vector-store.ts';
import type { TestVectorStore } from './vector-store.ts';

/** A database with a vector store and an embeddings server, and indexers that go when they are told to. */
export interface VectorWorld {
  databaseUrl: string;
  db: Db;
  sql: Sql;
  store: TestVectorStore;
  embeddings: FakeEmbeddings;
  /** What a process of the product is configured with. */
  env: Record<string, string>;
  openIndex(changes?: Record<string, string>): VectorIndex;
  openSearch(): VectorSearch;
  /** A closed conversation of the past. Returns its messages' ids. */
  tell(chatId: string, texts: string[], userId?: string): Promise<string[]>;
  /** What is found, best first; with `search` null by words alone. */
  found(chatId: string, query: string, search: VectorSearch | null): Promise<string[]>;
  close(): Promise<void>;
}

export const agreed: Differences = { missing: 0, outdated: 0, orphaned: 0, waiting: 0 };

export async function openVectorWorld(): Promise<VectorWorld> {
  const databaseUrl = (await createTestDatabase()).url;
  const { db, close } = connect(databaseUrl, { max: 4 });
  const sql = openSql(databaseUrl);
  const store = await startVectorStore();
  const embeddings = await startFakeEmbeddings();
  const env = {
    QDRANT_URL: store.url,
    QDRANT_API_KEY: process.env.QDRANT_API_KEY ?? '',
    EMBEDDINGS_BASE_URL: embeddings.url,
    EMBEDDINGS_MODEL: `tests/${randomBytes(4).toString('hex')}`,
    RECALL_TIMEOUT_MS: '60000',
    SUMMARY_MODE: 'off',
  };
  const opened: { close: () => Promise<void> }[] = [];
  const logger = createLogger('silent');
  const headers = { 'api-key': env.QDRANT_API_KEY };

  return {
    databaseUrl,
    db,
    sql,
    store,
    embeddings,
    env,
    openIndex(changes = {}) {
      const index = openVectorIndex(loadConfig({ ...env, ...changes }), db, logger);
      if (index === undefined) throw new Error('no vectors are configured');
      opened.push(index.embedder);
      return index;
    },
    openSearch() {
      const search = openVectorSearch(loadConfig(env), db, logger);
      if (search === undefined) throw new Error('no vectors are configured');
      opened.push(search);
      return search;
    },
    async tell(chatId, texts, userId = `user of ${chatId}`) {
      const rows = await sql.rows<{ id: string }>(
        `with session as (
          insert into chat_sessions (chat_id, user_id, is_active) values ($1, $2, false) returning id
        )
        insert into messages (session_id, role, content)
          select id, 'user', text
            from session, unnest($3::text[]) with ordinality as t (text, n) order by n
          returning id`,
        [chatId, userId, texts],
      );
      return rows.map(({ id }) => id);
    },
    async found(chatId, query, search) {
      const asked = { chatId, query, limit: 5 };
      const hits = await searchMemories(db, asked, search ?? undefined);
      return hits.map(({ content }) => content);
    },
    async close() {
      store.isDown = false;
      const rows = await sql.rows<{ name: string }>('select name from vector_collections');
      for (const { name } of rows) {
        await fetch(`${store.url}/collections/${encodeURIComponent(name)}`, {
          method: 'DELETE',
          headers,
        });
      }
      await Promise.all(opened.map((part) => part.close()));
      await Promise.all([close(), sql.close(), store.close(), embeddings.close()]);
    },
  };
}

const never = new AbortController().signal;

/** One step of each indexer. Returns how many rows they dealt with; rejects where a service fails. */
export async function indexOnce(index: VectorIndex): Promise<number> {
  const words = await indexMemories(index.db, { withVectors: true });
  return words + (await indexVectors(index, never));
}

/** Goes on until nothing waits, whatever fails meanwhile; then the store and the table must agree. */
export async function settle(index: VectorIndex): Promise<void> {
  await eventually(async () => {
    while ((await indexOnce(index)) > 0);
    expectAgreed(await compare(index));
  });
}

export async function compare(index: VectorIndex): Promise<Differences> {
  return await reconcileVectors(index, await openCollection(index), { dryRun: true });
}

function expectAgreed(found: Differences): void {
  if (JSON.stringify(found) !== JSON.stringify(agreed)) throw new Error(JSON.stringify(found));
}
