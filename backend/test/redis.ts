import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '#src/local/free-port.ts';
import { runProgram } from '#src/local/run-program.ts';
import { findUnder, unpackedPackages } from './debian-packages.ts';

export interface TestRedis {
  url: string;
  /** Loses everything at once, as a crash without persistence does. */
  forgetAll(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * A real Redis: a database of REDIS_URL's own, or a server started here from `redis-server` or
 * `valkey-server` on PATH, or from the system's packages unpacked into a cache folder.
 */
export async function startRedis(): Promise<TestRedis> {
  const given = process.env.REDIS_URL;
  if (given) return await useDatabaseOf(given);
  return await spawnRedis(['--save', '', '--appendonly', 'no', '--loglevel', 'warning']);
}

/** A server of the caller's own with these arguments; `password` where they set one. */
export async function spawnRedis(settings: string[], password = ''): Promise<TestRedis> {
  const program = (await findOnPath(['redis-server', 'valkey-server'])) ?? (await unpackedServer());
  const port = await freePort();
  const server = spawn(program.file, ['--port', `${port}`, '--bind', '127.0.0.1', ...settings], {
    env: { ...process.env, ...program.environment },
    cwd: '/',
    stdio: 'ignore',
  });
  await once(server, 'spawn');
  const ended = once(server, 'close');
  const kill = () => server.kill('SIGKILL');
  process.once('exit', kill);
  const url = `redis://${password === '' ? '' : `:${password}@`}127.0.0.1:${port}`;
  await withClient(url, (client) => client.ping());
  return {
    url,
    forgetAll: () => withClient(url, (client) => client.flushall()),
    async stop() {
      process.off('exit', kill);
      kill();
      await ended;
    },
  };
}

/** Another of its databases than the first, emptied before and after: whoever uses it too keeps theirs. */
async function useDatabaseOf(given: string): Promise<TestRedis> {
  const url = Object.assign(new URL(given), { pathname: `/${1 + (process.pid % 15)}` }).href;
  const forgetAll = () => withClient(url, (client) => client.flushdb());
  await forgetAll();
  return { url, forgetAll, stop: forgetAll };
}

async function withClient(url: string, use: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: 200 });
  client.on('error', () => {});
  await use(client);
  client.disconnect();
}

interface Program {
  file: string;
  environment: Record<string, string>;
}

async function findOnPath(names: string[]): Promise<Program | undefined> {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    for (const name of names) {
      const file = path.join(folder, name);
      const found = await access(file, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return { file, environment: {} };
    }
  }
  return undefined;
}

async function unpackedServer(): Promise<Program> {
  const packages = async () => [
    'redis-server',
    'redis-tools',
    ...(await librariesOf('redis-tools')),
  ];
  const root = await unpackedPackages('redis', packages).catch(explain);
  const { program, libraryFolders } = await findUnder(root, 'redis-server');
  return { file: program, environment: { LD_LIBRARY_PATH: libraryFolders.join(path.delimiter) } };
}

/** All but the C library, which must be the system's. */
async function librariesOf(name: string): Promise<string[]> {
  const depends = await runProgram('apt-cache', ['depends', name]);
  return [...depends.matchAll(/^ +\|?Depends: (lib[\w.+-]+)$/gm)]
    .map(([, library]) => library ?? '')
    .filter((library) => library !== '' && library !== 'libc6');
}

function explain(cause: Error): never {
  throw new Error(
    `There is no Redis for the tests, and its packages could not be fetched (${cause.message}). Install redis-server or valkey-server, or set REDIS_URL.`,
    { cause },
  );
}
