import { sql } from 'kysely';
import type { Db } from '#src/db/connect.ts';
import type { RecalledMemory } from '#src/db/memory.ts';

/** The memories of a chat, of all its sessions, that say most about `query`, best first; none where none helps. */
export async function searchMemories(
  db: Db,
  search: { chatId: string; query: string; limit: number },
): Promise<RecalledMemory[]> {
  const { rows } = await sql<{ hits: RecalledMemory[] }>`
    select search_memories(${search.chatId}, null, null, null, ${search.query}, 'chat',
      ${search.limit}) as hits`.execute(db);
  return rows[0]?.hits ?? [];
}
