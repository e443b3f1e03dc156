import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { environmentWith } from '#src/config.ts';
import type { StatementCounts } from './count-statements.ts';
import type { LoadOrder, LoadResult } from './load-process.ts';
import type { StreamsOrder } from './streams-process.ts';

export const apiKey = 'key-of-the-benchmark';

export interface Serving {
  url: string;
  pid: number;
  stop: () => Promise<void>;
}

/** One of the processes of this folder, which says where it listens. */
export async function startServing(file: 'model' | 'constant'): Promise<Serving> {
  const child = fork(join(import.meta.dirname, `${file}-process.ts`));
  const [address] = await once(child, 'message');
  return { url: `http://127.0.0.1:${address.port}`, ...handleOf(child) };
}

/** The API or the worker as users run it; its log goes to a file. `statements` counts what its driver sends. */
export async function startEntry(
  entry: 'api' | 'worker',
  variables: Record<string, string>,
): Promise<Serving & { statements: () => Promise<StatementCounts> }> {
  const logFile = join(tmpdir(), `llm-bot-core-bench-${process.pid}-${entry}-${Date.now()}.log`);
  const log = openSync(logFile, 'w');
  const counter = join(import.meta.dirname, 'count-statements.ts');
  const child = spawn(
    process.execPath,
    ['--import', counter, join(import.meta.dirname, `../src/${entry}.ts`)],
    {
      env: environmentWith({ PORT: '0', HOST: '127.0.0.1', API_KEY: apiKey, ...variables }),
      stdio: ['ignore', log, log, 'ipc'],
    },
  );
  const handle = handleOf(child);
  for (let tries = 0; ; tries += 1) {
    const text = readFileSync(logFile, 'utf8');
    if (/"(API|worker) ready"/.test(text)) {
      return {
        ...handle,
        url: /"url":"([^"]+)"/.exec(text)?.[1] ?? '',
        async statements() {
          child.send('statements');
          const [counts]: StatementCounts[] = await once(child, 'message');
          return counts ?? { turn: 0, other: 0 };
        },
        async stop() {
          await handle.stop();
          rmSync(logFile);
        },
      };
    }
    if (child.exitCode !== null || tries > 600) throw new Error(`The ${entry} failed: ${text}`);
    await sleep(100);
  }
}

/** The load generator. */
export function startLoad(): {
  pid: number;
  run: (order: LoadOrder) => Promise<LoadResult>;
  stop: () => Promise<void>;
} {
  const child = fork(join(import.meta.dirname, 'load-process.ts'));
  return {
    ...handleOf(child),
    async run(order) {
      child.send(order);
      const [result]: LoadResult[] = await once(child, 'message');
      if (result === undefined || result.failure !== undefined) {
        throw new Error(`The load generator failed: ${result?.failure}`);
      }
      return result;
    },
  };
}

/** Holds streams open. */
export function startStreams(): {
  open: (order: StreamsOrder) => Promise<void>;
  stop: () => Promise<void>;
} {
  const child = fork(join(import.meta.dirname, 'streams-process.ts'));
  return {
    ...handleOf(child),
    async open(order) {
      child.send(order);
      const [failure]: (string | null)[] = await once(child, 'message');
      if (failure !== null) throw new Error(failure);
    },
  };
}

function handleOf(child: ChildProcess): { pid: number; stop: () => Promise<void> } {
  // However this run ends, its processes end with it.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  return {
    pid: child.pid ?? 0,
    async stop() {
      const exited = once(child, 'exit');
      if (child.exitCode === null && child.kill('SIGTERM')) await exited;
      process.off('exit', kill);
    },
  };
}
