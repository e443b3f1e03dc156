import { Client } from 'pg';

/** Opens a connection for what `use` does. One that breaks off fails its statement, never the process. */
export async function connected<Result>(
  databaseUrl: string,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString: databaseUrl, query_timeout: 60_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}
