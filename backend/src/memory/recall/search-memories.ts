import { sql } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import type { RecalledMemory } from '#src/db/memory.ts';
import { fuse, FUSED_FROM } from './fuse.ts';
import type { VectorSearch } from './vector-search.ts';

/** The memories of a chat, of all its sessions, that say most about `query`, best first; none where none helps. */
export async function searchMemories(
  db: Db,
  search: { chatId: string; query: string; limit: number },
  vectors?: VectorSearch,
): Promise<RecalledMemory[]> {
  if (vectors === undefined) return await searchWords(db, search);
  const { chatId, query, limit } = search;
  const [byWords, { hits, failure }] = await Promise.all([
    searchWords(db, { ...search, limit: limit * FUSED_FROM }),
    vectors.find({ text: query, chatId, scope: 'chat' }),
  ]);
  return failure === undefined ? fuse([byWords, hits], limit) : byWords.slice(0, limit);
}

async function searchWords(
  db: Db,
  { chatId, query, limit }: { chatId: string; query: string; limit: number },
): Promise<RecalledMemory[]> {
  const { rows } = await sql<{ hits: RecalledMemory[] }>`
    select search_memories(${chatId}, null, null, null, ${query}, 'chat', ${limit}) as hits`.execute(
    db,
  );
  return rows[0]?.hits ?? [];
}
