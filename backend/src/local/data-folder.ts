import { randomUUID } from 'node:crypto';
import {
  access,
  chmod,
  constants,
  mkdir,
  readlink,
  realpath,
  stat,
  symlink,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { reasonOf, StartError } from '../start-error.ts';
import { runProgram } from './run-program.ts';
import type { Account } from './run-program.ts';

/** Where root keeps what the system user must read while the project lies in a closed folder like /root. */
export const systemFolder = '/var/lib/llm-bot-core';

/** Makes the data folder where it is missing and returns its real path. */
export async function prepareDataFolder(dataDir: string): Promise<string> {
  const folder = resolve(dataDir);
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    const real = await realpath(folder);
    // pg_ctl hands the path to a shell in double quotes.
    if (/["$`\\\n]/.test(real)) throw new Error('its path holds one of " $ ` \\');
    return real;
  } catch (cause) {
    throw new StartError(
      `DATA_DIR: ${folder} cannot be the data folder (${reasonOf(cause)}); set it to a folder you can write to`,
      { cause },
    );
  }
}

/**
 * The folder of PostgreSQL's own files, which need not exist yet: `postgres` in the data folder.
 * Where `account` cannot reach that, it becomes a link to a folder that it can.
 */
export async function placeCluster(
  dataFolder: string,
  account: Account | undefined,
): Promise<string> {
  const own = join(dataFolder, 'postgres');
  const exists = await stat(own).catch(() => undefined);
  if (exists === undefined && !(await canReach(dataFolder, account))) await linkElsewhere(own);
  const folder = await readlink(own).catch(() => own);
  await makeReachable(dirname(folder));
  if (await canReach(exists?.isDirectory() ? folder : dirname(folder), account)) return folder;
  throw new StartError(
    `DATA_DIR: the user with uid ${account?.uid ?? process.getuid?.()}, as whom PostgreSQL runs, cannot enter ${folder}; start as the folder's owner, or set DATA_DIR to another folder`,
  );
}

async function linkElsewhere(own: string): Promise<void> {
  const target = join(systemFolder, randomUUID(), 'postgres');
  await symlink(target, own).catch((error: NodeJS.ErrnoException) => {
    // Made by an earlier start that got no further; it is used.
    if (error.code !== 'EEXIST') throw error;
  });
}

/** Makes a folder under the system folder, readable by all whatever the umask is. Leaves any other alone. */
export async function makeReachable(folder: string): Promise<void> {
  if (folder !== systemFolder && dirname(folder) !== systemFolder) return;
  await mkdir(folder, { recursive: true });
  await chmod(systemFolder, 0o755);
  await chmod(folder, 0o755);
}

async function canReach(folder: string, account: Account | undefined): Promise<boolean> {
  return runProgram('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { account }).then(
    () => true,
    () => false,
  );
}
