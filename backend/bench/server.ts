import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { StartError } from '#src/start-error.ts';
import { startPostgres } from '#test/postgres-server.ts';

/** A durable PostgreSQL: DATABASE_URL's, or one of the run's own. */
export interface Server {
  description: string;
  /** Of any backend, to find the postmaster by. */
  backendPid: number;
  admin: Client;
  createDatabase: (name: string) => Promise<{ url: string; client: Client }>;
  close: () => Promise<void>;
}

/**
 * fsync and the rest stand as PostgreSQL has them. Checkpoints are kept out of the measured moments, and
 * its memory is what docs/scaling.md asks for, a quarter of a machine of 8 GB.
 */
const durable = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  checkpoint_timeout: '30min',
  max_wal_size: '8GB',
  shared_buffers: '2GB',
  // Three APIs, a worker and two drivers, each with all its connections.
  max_connections: '200',
};

export async function openServer(databaseUrl: string | undefined): Promise<Server> {
  const own = databaseUrl === undefined ? await startPostgres(durable) : undefined;
  const url = new URL(own?.url ?? databaseUrl ?? '');
  const admin = await open(url);
  try {
    await requireDurable(admin);
  } catch (error) {
    await admin.end();
    await own?.stop();
    throw error;
  }
  const run = `bench_${randomBytes(4).toString('hex')}`;
  const databases: { name: string; client: Client }[] = [];
  const { rows } = await admin.query(
    `select current_setting('server_version') as version,
        current_setting('shared_buffers') as memory, pid
      from pg_stat_activity where backend_type = 'checkpointer'`,
  );
  return {
    description: `PostgreSQL ${rows[0].version} with ${rows[0].memory} of shared_buffers, fsync and synchronous_commit on`,
    backendPid: rows[0].pid,
    admin,
    async createDatabase(suffix) {
      const name = `${run}_${suffix}`;
      await admin.query(`create database ${name}`);
      const its = Object.assign(new URL(url), { pathname: `/${name}` });
      const client = await open(its);
      databases.push({ name, client });
      return { url: its.href, client };
    },
    async close() {
      for (const { name, client } of databases) {
        await client.end();
        await admin.query(`drop database if exists ${name} with (force)`);
      }
      await admin.end();
      await own?.stop();
    },
  };
}

async function open(url: URL): Promise<Client> {
  const client = new Client({ connectionString: url.href });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function requireDurable(admin: Client): Promise<void> {
  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
    const { rows } = await admin.query(`select current_setting('${setting}') as value`);
    if (rows[0].value !== 'on') {
      throw new StartError(
        `DATABASE_URL: its ${setting} is ${rows[0].value}, so it is not durable and its figures would mean nothing; set it to on`,
      );
    }
  }
}
