import { rmSync } from 'node:fs';
import { chown, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterUrl, createCluster } from '#src/local/cluster.ts';
import type { Cluster } from '#src/local/cluster.ts';
import { postgresAccount } from '#src/local/postgres-account.ts';
import { findPostgresPrograms } from '#src/local/postgres-programs.ts';
import { abandonPostmaster, startPostmaster, stopPostmaster } from '#src/local/postmaster.ts';
import { isAlive } from '#src/local/process-state.ts';
import { reachablePrograms } from '#src/local/reachable-programs.ts';

/** Nothing here outlives the run, so nothing is worth waiting for the disk. */
const throwAway = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '300',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  timezone: 'UTC',
};

/** A PostgreSQL of the caller's own, in a temporary folder that goes with it. */
export interface PostgresServer {
  /** Of the `postgres` database. */
  url: string;
  cluster: Cluster;
  pid: number;
  /** On the same port. `immediate` is a crash: nothing is written out before, and it recovers from its log. */
  restart: (mode: 'fast' | 'immediate') => Promise<void>;
  stop: () => Promise<void>;
}

export async function startPostgres(more: Record<string, string> = {}): Promise<PostgresServer> {
  const home = await realpath(await mkdtemp(join(tmpdir(), 'llm-bot-core-test-')));
  try {
    return await startIn(home, { ...throwAway, ...more });
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(home: string, settings: Record<string, string>): Promise<PostgresServer> {
  const folder = join(home, 'postgres');
  const account = await postgresAccount(folder);
  if (account !== undefined) await chown(home, account.uid, account.gid);
  const programs = await reachablePrograms(await findPostgresPrograms(), account);
  const cluster = { folder, account, programs };
  await createCluster(cluster, settings);
  let postmaster = await startPostmaster(cluster);
  // Where the run is cut short (a second Ctrl-C), only this is still called.
  const abandon = () => {
    abandonPostmaster(postmaster, 'SIGQUIT');
    for (let waits = 0; isAlive(postmaster.pid) && waits < 250; waits += 1) sleepSync(20);
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once('exit', abandon);
  return {
    url: await clusterUrl(cluster, postmaster.port),
    cluster,
    pid: postmaster.pid,
    restart: async (mode) => {
      await stopPostmaster(cluster, postmaster, mode);
      postmaster = await startPostmaster(cluster, postmaster.port);
    },
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
