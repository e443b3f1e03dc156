import { cp, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ignoreNotEmpty } from './cluster.ts';
import { makeReachable, systemFolder } from './data-folder.ts';
import type { PostgresPrograms } from './postgres-programs.ts';
import { runProgram } from './run-program.ts';
import type { Account } from './run-program.ts';

/** The same programs, or a copy where `account` cannot run them because they lie in a closed folder. */
export async function reachablePrograms(
  programs: PostgresPrograms,
  account: Account | undefined,
): Promise<PostgresPrograms> {
  if (account === undefined || (await canRun(programs.postgres, account))) return programs;
  const version = (await runProgram(programs.postgres, ['-V'])).trim().replaceAll(/[^\w.]+/g, '-');
  const copy = join(systemFolder, version);
  const isCopied = await stat(copy).catch(() => undefined);
  if (isCopied === undefined)
    await copyPrograms(dirname(dirname(programs.postgres)), copy, account);
  const moved = (program: string) => join(copy, 'bin', basename(program));
  return {
    initdb: moved(programs.initdb),
    pg_ctl: moved(programs.pg_ctl),
    postgres: moved(programs.postgres),
  };
}

/** `native` holds the folders bin, lib and share, which find each other by their relative paths. */
async function copyPrograms(native: string, copy: string, account: Account): Promise<void> {
  const draft = `${copy}.copy-${process.pid}`;
  await makeReachable(systemFolder);
  await cp(native, draft, { recursive: true, verbatimSymlinks: true });
  await runProgram('chown', ['-R', `${account.uid}:${account.gid}`, draft]);
  await rename(draft, copy).catch(ignoreNotEmpty);
  await rm(draft, { recursive: true, force: true });
}

async function canRun(program: string, account: Account): Promise<boolean> {
  return runProgram(program, ['-V'], { account }).then(
    () => true,
    () => false,
  );
}
