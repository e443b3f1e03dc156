import { randomBytes } from 'node:crypto';
import { chown, mkdtemp, realpath, rm } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { migrateToLatest } from '#src/db/migrate.ts';
import { clusterUrl, createCluster } from '#src/local/cluster.ts';
import { postgresAccount } from '#src/local/postgres-account.ts';
import { findPostgresPrograms } from '#src/local/postgres-programs.ts';
import { abandonPostmaster, startPostmaster, stopPostmaster } from '#src/local/postmaster.ts';
import { isAlive } from '#src/local/process-state.ts';
import { reachablePrograms } from '#src/local/reachable-programs.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A migrated database that nobody connects to: `create database … template …`. */
    templateUrl: string;
  }
}

/** Nothing here outlives the run, so nothing is worth waiting for the disk. */
const settings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '300',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  timezone: 'UTC',
};

/** One real PostgreSQL for the whole run (or TEST_DATABASE_URL's), with a migrated template in it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TEST_DATABASE_URL;
  const server = given ? { url: given, stop: async () => {} } : await startServer();
  const template = `test_${randomBytes(6).toString('hex')}`;
  try {
    await execute(server.url, `create database ${template}`);
    const templateUrl = new URL(server.url);
    templateUrl.pathname = `/${template}`;
    await migrateToLatest(templateUrl.href);
    project.provide('templateUrl', templateUrl.href);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return async () => {
    if (given) await dropAll(server.url, template);
    await server.stop();
  };
}

async function startServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  const home = await realpath(await mkdtemp(join(tmpdir(), 'llm-bot-core-test-')));
  try {
    return await startServerIn(home);
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

async function startServerIn(home: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const folder = join(home, 'postgres');
  const account = await postgresAccount(folder);
  if (account !== undefined) await chown(home, account.uid, account.gid);
  const programs = await reachablePrograms(await findPostgresPrograms(), account);
  const cluster = { folder, account, programs };
  await createCluster(cluster, settings);
  const postmaster = await startPostmaster(cluster);
  // Where the run is cut short (a second Ctrl-C), only this is still called.
  const abandon = () => {
    abandonPostmaster(postmaster, 'SIGQUIT');
    for (let waits = 0; isAlive(postmaster.pid) && waits < 250; waits += 1) sleepSync(20);
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once('exit', abandon);
  return {
    url: await clusterUrl(cluster, postmaster.port),
    stop: async () => {
      process.off('exit', abandon);
      await stopPostmaster(cluster, postmaster);
      await rm(home, { recursive: true, force: true });
    },
  };
}

function sleepSync(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Also drops what a test file left behind. */
async function dropAll(url: string, template: string): Promise<void> {
  const names = await execute(
    url,
    `select datname from pg_database where datname ~ '^${template}(_|$)'`,
  );
  for (const { datname } of names) await execute(url, `drop database ${datname} with (force)`);
}

async function execute(url: string, sql: string): Promise<{ datname: string }[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
