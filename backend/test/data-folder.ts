import { chmod, mkdtemp, readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { onTestFinished } from 'vitest';
import { findPostmaster } from '#src/local/postmaster.ts';

/** An empty data folder that every user can enter. At the test's end it goes, with all that runs on it. */
export async function createDataFolder(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'llm-bot-core-data-')));
  await chmod(folder, 0o755);
  onTestFinished(async () => {
    await killProcessesOn(folder);
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

/** The pid of the PostgreSQL that runs on the data folder. */
export async function postmasterOn(dataDir: string): Promise<number> {
  const postmaster = await findPostmaster({ folder: await realpath(join(dataDir, 'postgres')) });
  if (postmaster === undefined) throw new Error(`no PostgreSQL runs on ${dataDir}`);
  return postmaster.pid;
}

export async function queryUrl(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/**
 * The processes (Linux) that work in the data folder, as PostgreSQL's do, or were started with it
 * as their DATA_DIR, as the entry and its children are.
 */
export async function listProcessesOn(dataDir: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    const isOurs = cwd.startsWith(dataDir) || environment.includes(`DATA_DIR=${dataDir}\0`);
    if (isOurs) found.push(Number(pid));
  }
  return found;
}

export async function killProcessesOn(dataDir: string): Promise<void> {
  for (;;) {
    const pids = await listProcessesOn(dataDir);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended meanwhile.
      }
    }
    await sleep(20);
  }
}

/** Resolves once `holds` is true; the test's own time-out ends a wait in vain. */
export async function waitUntil(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20);
}
