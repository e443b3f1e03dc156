import { readFile } from 'node:fs/promises';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { z } from 'zod';
import { connect } from '../db/connect.ts';
import type { DB } from '../db/tables.ts';
import { runProgram } from '../local/run-program.ts';
import { StartError } from '../start-error.ts';
import { findBrokenSessions } from './check-invariants.ts';
import { libpqConnection } from './libpq-connection.ts';
import { digestMemory } from './memory-digest.ts';
import type { MemoryDigest } from './memory-digest.ts';
import { findPostgresTools } from './postgres-tools.ts';
import { serverMajor } from './server-major.ts';

const Recorded = z.object({ digest: z.string() });

/**
 * Restores a backup into an empty database, all or nothing, and checks it: the memory's invariants
 * hold, and every open conversation would be answered from the same memory as when the backup was
 * made. `isCompared` is false where `file`.json, which says so, is not there.
 */
export async function restore(
  databaseUrl: string,
  file: string,
  searchPath: string | undefined,
): Promise<MemoryDigest & { isCompared: boolean }> {
  const { db, close } = connect(databaseUrl, { max: 1, queryTimeoutMs: 0 });
  try {
    const tools = await findPostgresTools(await serverMajor(db), searchPath);
    await refuseUnlessEmpty(db);
    const { env, url } = libpqConnection(databaseUrl);
    const flags = ['--no-owner', '--no-privileges', '--single-transaction', '--exit-on-error'];
    await runProgram(tools.pg_restore, [...flags, `--dbname=${url}`, file], { env });

    const broken = await findBrokenSessions(db);
    if (broken.length > 0) {
      const some = broken.slice(0, 5).map(({ id, problem }) => `${id} (${problem})`);
      throw new StartError(
        `${file}: ${broken.length} sessions are broken after the restore: ${some.join(', ')}; look at them before you let anybody in.`,
      );
    }
    const memory = await digestMemory(db);
    const recorded = await readRecorded(file);
    if (recorded !== undefined && recorded.digest !== memory.digest) {
      throw new StartError(
        `${file}: the restored memory is not what was backed up (digest ${memory.digest}, and ${recorded.digest} in ${file}.json).`,
      );
    }
    await prepareForUse(db);
    return { ...memory, isCompared: recorded !== undefined };
  } finally {
    await close();
  }
}

async function refuseUnlessEmpty(db: Kysely<DB>): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select n.nspname || '.' || c.relname as name from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast|^pg_temp'
      order by 1 limit 1`.execute(db);
  const [first] = rows;
  if (first === undefined) return;
  throw new StartError(
    `DATABASE_URL: the database is not empty (it has ${first.name}); create another one, restore into that, and let the old one stand until you are sure.`,
  );
}

async function readRecorded(file: string): Promise<z.infer<typeof Recorded> | undefined> {
  const text = await readFile(`${file}.json`, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Recorded.parse(JSON.parse(text));
}

/** The index is made again from the ledger. What waited to be sent may have been sent since: nobody repeats that by himself. */
async function prepareForUse(db: Kysely<DB>): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`
      update embeddings set terms = null, state = 'pending', error = null, model = null,
          dimension = null, claimed_until = null`.execute(tx);
    await sql`
      update messages set delivery_state = 'uncertain', delivery_due_at = null,
          delivery_error = 'restored from a backup: it may have been sent since'
        where delivery_state in ('pending', 'sending')`.execute(tx);
  });
  await sql`analyze`.execute(db);
}
