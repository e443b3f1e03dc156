import { connected } from './connected.ts';

/** A row of the ledger, and a vector of the vector store, by the same id. */
export interface StoredVectors {
  rows: { id: number; chat_id: string; version: string; has_vector: boolean; content: string }[];
  points: { id: number; payload: { chat_id?: string; version?: string } }[];
}

/** The ledger, and the whole collection that is searched. */
export async function readVectors(databaseUrl: string, storeUrl: string): Promise<StoredVectors> {
  const { rows, collections } = await readLedger(databaseUrl);
  const [name] = collections;
  if (name === undefined) return { rows, points: [] };
  const body = {
    offset: 0,
    limit: 1_000_000,
    with_payload: ['chat_id', 'version'],
    with_vector: false,
  };
  const response = await fetch(
    `${storeUrl}/collections/${encodeURIComponent(name)}/points/scroll`,
    {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    },
  );
  const answer: { result: { points: StoredVectors['points'] } } = JSON.parse(await response.text());
  return { rows, points: answer.result.points };
}

/** Nothing of a run stays in a vector store that outlives it. */
export async function dropCollections(databaseUrl: string, storeUrl: string): Promise<void> {
  const { collections } = await readLedger(databaseUrl);
  for (const name of collections) {
    await fetch(`${storeUrl}/collections/${encodeURIComponent(name)}`, {
      method: 'DELETE',
      headers,
    });
  }
}

const headers = { 'content-type': 'application/json' };

/** The collection that became active last comes first. */
async function readLedger(databaseUrl: string) {
  return await connected(databaseUrl, async (client) => {
    const { rows } = await client.query<StoredVectors['rows'][number]>(
      `select e.id::integer, s.chat_id, coalesce(md5(e.content), '') as version,
        e.state = 'indexed' and e.terms > 0 as has_vector, coalesce(e.content, '') as content
      from embeddings e join chat_sessions s on s.id = e.session_id`,
    );
    const collections = await client.query<{ name: string }>(
      'select name from vector_collections order by active_since desc nulls last',
    );
    return { rows, collections: collections.rows.map(({ name }) => name) };
  });
}
