import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../start-error.ts';
import { freePort } from './free-port.ts';
import type { Cluster } from './cluster.ts';
import { runProgram } from './run-program.ts';

/** A running PostgreSQL: its first process and the loopback port it listens on. */
export interface Postmaster {
  pid: number;
  port: number;
}

/** The PostgreSQL that runs on the cluster now, by whomever it was started. */
export async function findPostmaster({
  folder,
}: Pick<Cluster, 'folder'>): Promise<Postmaster | undefined> {
  const file = await readFile(pidFile(folder), 'utf8').catch(() => '');
  const lines = file.split('\n');
  const postmaster = { pid: Number(lines[0]), port: Number(lines[3]) };
  if (!(postmaster.pid > 0 && postmaster.port > 0)) return undefined;
  return (await isRunning(postmaster.pid, folder)) ? postmaster : undefined;
}

/** Starts PostgreSQL, on a free port unless one is given, and resolves once it accepts connections. It outlives us. */
export async function startPostmaster(cluster: Cluster, port?: number): Promise<Postmaster> {
  const { folder, programs, account } = cluster;
  // Left by a crash, and its pid may be another program's by now: PostgreSQL would not start then.
  await rm(pidFile(folder), { force: true });
  const flags = ['-D', folder, '-l', logFile(folder), '-o', `-p ${port ?? (await freePort())}`];
  const logged = (await readLog(folder)).length;
  try {
    await runProgram(programs.pg_ctl, ['start', '-s', '-w', '-t', '600', ...flags], {
      account,
      cwd: folder,
    });
  } catch (cause) {
    throw new Error((await lastComplaint(folder, logged)) ?? reasonOf(cause), { cause });
  }
  const postmaster = await findPostmaster(cluster);
  if (postmaster === undefined) throw new Error('PostgreSQL ended right after its start');
  return postmaster;
}

/** Closes all connections, stops PostgreSQL and resolves once its process is gone. `immediate` is as a crash. */
export async function stopPostmaster(
  { folder, programs, account }: Cluster,
  { pid }: Postmaster,
  mode: 'fast' | 'immediate' = 'fast',
): Promise<void> {
  const flags = ['-D', folder, '-m', mode, '-t', '600'];
  try {
    await runProgram(programs.pg_ctl, ['stop', '-s', '-w', ...flags], { account, cwd: folder });
  } catch (error) {
    if (await isRunning(pid, folder)) throw error;
  }
  while (await isRunning(pid, folder)) await sleep(20);
}

/** Tells PostgreSQL to stop without waiting for it: all that can be done in an `exit` handler. */
export function abandonPostmaster(
  { pid }: Postmaster,
  signal: 'SIGINT' | 'SIGQUIT' = 'SIGINT',
): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone already.
  }
}

/** What PostgreSQL wrote to its log since it was `from` characters long, reduced to its last reason to give up. */
async function lastComplaint(folder: string, from: number): Promise<string | undefined> {
  const log = await readLog(folder);
  return log
    .slice(from)
    .match(/(?:FATAL|PANIC): +.*/g)
    ?.at(-1);
}

async function readLog(folder: string): Promise<string> {
  return readFile(logFile(folder), 'utf8').catch(() => '');
}

/** PostgreSQL's own log, the place to look where it does not start. */
export function logFile(folder: string): string {
  return join(folder, 'server.log');
}

function pidFile(folder: string): string {
  return join(folder, 'postmaster.pid');
}

/** Whether `pid` is a PostgreSQL on this very folder: a pid alone may be anyone's after a crash. */
async function isRunning(pid: number, folder: string): Promise<boolean> {
  const command =
    process.platform === 'linux'
      ? readFile(`/proc/${pid}/cmdline`, 'utf8')
      : runProgram('ps', ['-o', 'command=', '-p', String(pid)]);
  return (await command.catch(() => '')).includes(folder);
}
