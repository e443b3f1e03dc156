import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../logger.ts';
import { reasonOf, StartError } from '../start-error.ts';
import { clusterUrl, createCluster, passwordPath, removeDrafts } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { placeCluster, prepareDataFolder } from './data-folder.ts';
import { takeOwnerLock } from './owner-lock.ts';
import type { OwnerLock } from './owner-lock.ts';
import { postgresAccount } from './postgres-account.ts';
import { findPostgresPrograms, postgresMajor } from './postgres-programs.ts';
import {
  abandonPostmaster,
  findPostmaster,
  logFile,
  startPostmaster,
  stopPostmaster,
} from './postmaster.ts';
import type { Postmaster } from './postmaster.ts';
import { reachablePrograms } from './reachable-programs.ts';

export interface EmbeddedPostgres {
  /** `postgres://` on 127.0.0.1, with the password. */
  url: string;
  /** Its files: `<dataDir>/postgres`, or where that is a link to. */
  folder: string;
  /** Ends every connection, stops PostgreSQL and resolves once no process of it is left. */
  stop(): Promise<void>;
}

/** Durable: fsync and the rest keep PostgreSQL's defaults. */
const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  timezone: 'UTC',
  log_checkpoints: 'off',
};

/** What a dead PostgreSQL leaves running needs a moment to be gone before another can start. */
const REVIVE_TRIES = 10;

/**
 * Runs PostgreSQL on `<dataDir>/postgres`, which is made on the first start. One that a killed start
 * left running is adopted; one that dies is started again. Rejects with {@link StartError} where the folder cannot be used or is in use.
 */
export async function startEmbeddedPostgres(options: {
  dataDir: string;
  logger?: Logger;
}): Promise<EmbeddedPostgres> {
  const cluster = await openCluster(options.dataDir);
  const { postmaster, url, lock } = await takeOver(cluster, options.logger);
  // However this process ends, short of kill -9, PostgreSQL ends with it.
  const abandon = () => abandonPostmaster(postmaster);
  process.once('exit', abandon);
  return {
    url,
    folder: cluster.folder,
    async stop() {
      await lock.letGo();
      await stopPostmaster(cluster, postmaster);
      process.off('exit', abandon);
    },
  };
}

/** The one that lies in a data folder; `url` only where it runs, by whomever it was started. */
export async function findEmbeddedPostgres(
  dataDir: string,
): Promise<{ url: string | undefined } | undefined> {
  const folder = await realpath(join(dataDir, 'postgres')).catch(() => undefined);
  if (folder === undefined) return undefined;
  const postmaster = await findPostmaster({ folder });
  return { url: postmaster && (await clusterUrl({ folder }, postmaster.port)) };
}

async function openCluster(dataDir: string): Promise<Cluster> {
  const dataFolder = await prepareDataFolder(dataDir);
  const account = await postgresAccount(join(dataFolder, 'postgres'));
  const folder = await placeCluster(dataFolder, account);
  const programs = await reachablePrograms(await findPostgresPrograms(), account);
  const cluster = { folder, programs, account };
  await removeDrafts(cluster);
  if (await isMissing(folder)) await createCluster(cluster, settings);
  await checkIsOurs(folder);
  return cluster;
}

async function isMissing(folder: string): Promise<boolean> {
  const exists = await stat(folder).catch(() => undefined);
  return exists === undefined || (exists.isDirectory() && (await readdir(folder)).length === 0);
}

async function checkIsOurs(folder: string): Promise<void> {
  const version = await readFile(join(folder, 'PG_VERSION'), 'utf8').catch(() => '');
  const major = version.trim();
  const isWhole = await stat(passwordPath(folder)).catch(() => undefined);
  if (major === postgresMajor && isWhole !== undefined) return;
  const problem =
    major === '' || major === postgresMajor
      ? 'was not made by this program'
      : `was made by PostgreSQL ${major} and cannot be opened by PostgreSQL ${postgresMajor}`;
  throw new StartError(
    `DATA_DIR: ${folder} ${problem}; move it away, or set DATA_DIR to another folder`,
  );
}

async function takeOver(
  cluster: Cluster,
  logger?: Logger,
): Promise<{ postmaster: Postmaster; url: string; lock: OwnerLock }> {
  let started: Postmaster | undefined;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const running = await findPostmaster(cluster);
      const postmaster = running ?? (started = await startPostmaster(cluster));
      const url = await clusterUrl(cluster, postmaster.port);
      const lock = await takeOwnerLock(url, reviver(cluster, postmaster, logger), logger);
      if (typeof lock !== 'number') return { postmaster, url, lock };
      throw new StartError(
        `DATA_DIR: another start already runs on ${cluster.folder} (process ${lock}); stop it, or set DATA_DIR to another folder`,
      );
    } catch (error) {
      if (error instanceof StartError) throw error;
      if (attempt >= patience(error)) {
        if (started !== undefined) await stopPostmaster(cluster, started);
        throw explain(error, cluster);
      }
      await sleep(500);
    }
  }
}

/**
 * Starts PostgreSQL again on its port where it has died: killed for its memory, for instance.
 * `postmaster` then names the new one. Gives up after some failures in a row, and says so.
 */
function reviver(cluster: Cluster, postmaster: Postmaster, logger?: Logger): () => Promise<void> {
  let triesLeft = REVIVE_TRIES;
  return async () => {
    if (triesLeft === 0 || (await findPostmaster(cluster)) !== undefined) return;
    try {
      Object.assign(postmaster, await startPostmaster(cluster, postmaster.port));
      triesLeft = REVIVE_TRIES;
      logger?.warn('the embedded PostgreSQL had died; it was started again');
    } catch (error) {
      triesLeft -= 1;
      if (triesLeft === 0) logger?.error(explain(error, cluster).message);
    }
  };
}

/**
 * How many attempts an error is worth. A port can be lost to a race, and killed processes need a
 * moment to be gone; an old PostgreSQL that still recovers or shuts down says so (57P03).
 */
function patience(error: unknown): number {
  const isBusy = error instanceof Error && 'code' in error && error.code === '57P03';
  return isBusy ? 600 : 5;
}

function explain(error: unknown, { folder }: Cluster): StartError {
  return new StartError(
    `DATA_DIR: PostgreSQL does not start on ${folder} (${reasonOf(error)}); its log is ${logFile(folder)}`,
    { cause: error },
  );
}
