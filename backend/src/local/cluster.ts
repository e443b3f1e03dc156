import { randomBytes } from 'node:crypto';
import { chown, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { PostgresPrograms } from './postgres-programs.ts';
import { isAlive } from './process-state.ts';
import { runProgram } from './run-program.ts';
import type { Account } from './run-program.ts';

/** A PostgreSQL data folder, what runs it, and as whom. */
export interface Cluster {
  /** Absolute, without symbolic links. */
  folder: string;
  programs: PostgresPrograms;
  account: Account | undefined;
}

/** It lies inside the data folder, so that the two are always made, moved and lost together. */
export function passwordPath(folder: string): string {
  return join(folder, 'llm-bot-core.password');
}

/**
 * Makes the data folder, whole or not at all: initdb works beside it and the result is renamed.
 * A folder that another start made meanwhile is kept. `settings` go into its postgresql.conf.
 */
export async function createCluster(
  { folder, programs, account }: Cluster,
  settings: Record<string, string>,
): Promise<void> {
  const draft = `${folder}.initdb-${process.pid}`;
  const data = join(draft, 'data');
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { mode: 0o700 });
  try {
    const password = join(draft, 'password');
    await writeFile(password, randomBytes(24).toString('base64url'), { mode: 0o600 });
    if (account !== undefined) {
      await chown(draft, account.uid, account.gid);
      await chown(password, account.uid, account.gid);
    }
    await runProgram(programs.initdb, initdbArguments(data, password, settings), {
      account,
      cwd: draft,
    });
    await rename(password, passwordPath(data));
    await rename(data, folder).catch(ignoreNotEmpty);
  } finally {
    await rm(draft, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Removes what a start that was killed in the middle of {@link createCluster} left behind. */
export async function removeDrafts({ folder }: Cluster): Promise<void> {
  for (const name of await readdir(dirname(folder))) {
    const [base, pid] = name.split('.initdb-');
    if (base !== basename(folder) || pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(dirname(folder), name), { recursive: true, force: true, maxRetries: 3 });
  }
}

function initdbArguments(data: string, password: string, settings: Record<string, string>) {
  return [
    `--pgdata=${data}`,
    `--pwfile=${password}`,
    '--username=postgres',
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // The same sorting on every machine; the character classes of full-text search need a libc locale.
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    ...(process.platform === 'linux' ? ['--lc-ctype=C.UTF-8'] : []),
    ...Object.entries(settings).map(([name, value]) => `--set=${name}=${value}`),
  ];
}

/** The URL of the cluster's `postgres` database while it listens on `port`. */
export async function clusterUrl(
  { folder }: Pick<Cluster, 'folder'>,
  port: number,
): Promise<string> {
  const password = await readFile(passwordPath(folder), 'utf8');
  return `postgres://postgres:${password.trim()}@127.0.0.1:${port}/postgres`;
}

/** For a rename to where another process may have put the same thing first. */
export function ignoreNotEmpty(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
}
