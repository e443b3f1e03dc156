import { open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { sql } from 'kysely';
import { connect } from '../db/connect.ts';
import { runProgram } from '../local/run-program.ts';
import { libpqConnection } from './libpq-connection.ts';
import { digestMemory } from './memory-digest.ts';
import type { MemoryDigest } from './memory-digest.ts';
import { findPostgresTools } from './postgres-tools.ts';
import { serverMajor } from './server-major.ts';

/** Derived: made again from the ledger, as are the vectors. */
const derivedTables = [
  'public.recall_postings',
  'public.vector_collections',
  'public.deleted_vectors',
];
/** Delivery only: what it lost is found in the rows again. */
const otherSchemas = ['bullmq'];

/**
 * Writes the database as it is at one moment into `file` (pg_dump's custom format), and what its
 * memory was at that same moment into `file`.json. Chats go on meanwhile. Both files are whole or
 * not there, and for their owner's eyes only.
 */
export async function backUp(
  databaseUrl: string,
  file: string,
  searchPath: string | undefined,
): Promise<MemoryDigest & { bytes: number }> {
  const { db, close } = connect(databaseUrl, { max: 1, queryTimeoutMs: 0 });
  const draft = `${file}.partial`;
  try {
    const tools = await findPostgresTools(await serverMajor(db), searchPath);
    await (await open(draft, 'w', 0o600)).close();
    const memory = await db
      .transaction()
      .setIsolationLevel('repeatable read')
      .setAccessMode('read only')
      .execute(async (tx) => {
        const { rows } = await sql<{ id: string }>`select pg_export_snapshot() as id`.execute(tx);
        const { env, url } = libpqConnection(databaseUrl);
        const flags = [
          '--format=custom',
          '--no-owner',
          '--no-privileges',
          ...otherSchemas.map((schema) => `--exclude-schema=${schema}`),
          ...derivedTables.map((table) => `--exclude-table-data=${table}`),
        ];
        const place = [`--snapshot=${rows[0]?.id}`, `--file=${draft}`, `--dbname=${url}`];
        await runProgram(tools.pg_dump, [...flags, ...place], { env });
        return await digestMemory(tx);
      });
    await writeFile(`${file}.json`, `${JSON.stringify(memory)}\n`, { mode: 0o600 });
    await rename(draft, file);
    return { ...memory, bytes: (await stat(file)).size };
  } finally {
    await rm(draft, { force: true });
    await close();
  }
}
