import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TOKEN } from './fake-telegram.ts';

const root = path.join(import.meta.dirname, '..', '..');

export interface Running {
  child: ChildProcess;
  /** All it printed. */
  output(): string;
  /** Resolves with the exit code; null after a kill. */
  exited: Promise<number | null>;
  /** `kill -9`, and waits until it is gone. */
  crash(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null>;
}

/** Nothing of the developer's own environment gets into a test. */
const bareEnv = {
  PATH: process.env['PATH'],
  HOME: process.env['HOME'],
  // Hundreds of starts: each after the first takes half the time.
  NODE_COMPILE_CACHE: path.join(tmpdir(), 'llm-bot-core-compile-cache'),
};

export function startBot(
  telegramRoot: string,
  backendUrl: string,
  env: Record<string, string> = {},
): Running {
  return startEntry('telegram-bot/src/main.ts', {
    BOT_TOKEN: TOKEN,
    TELEGRAM_API_ROOT: telegramRoot,
    BACKEND_URL: backendUrl,
    LOG_LEVEL: 'debug',
    ...env,
  });
}

export function startBackend(
  port: number,
  databaseUrl: string,
  modelUrl: string,
  env: Record<string, string> = {},
): Running {
  return startEntry('backend/src/api.ts', {
    PORT: String(port),
    DATABASE_URL: databaseUrl,
    LLM_BASE_URL: modelUrl,
    LLM_MODEL: 'fake',
    LOG_LEVEL: 'warn',
    ...env,
  });
}

export function startWorker(databaseUrl: string, env: Record<string, string>): Running {
  return startEntry('backend/src/worker.ts', { DATABASE_URL: databaseUrl, ...env });
}

/** Resolves when `check` gives something other than false, undefined or null. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { withinMs = 15_000, what = 'it' }: { withinMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await check();
    if (found !== false && found !== undefined && found !== null) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not happen within ${withinMs} ms`);
    await sleep(20);
  }
}

export async function untilHealthy(url: string): Promise<void> {
  await eventually(
    () =>
      fetch(`${url}/health`).then(
        (response) => response.ok,
        () => false,
      ),
    { what: 'a healthy backend', withinMs: 60_000 },
  );
}

/** One of our entries, with nothing in its environment but what is given. */
export function startEntry(file: string, env: Record<string, string>): Running {
  const child = spawn(process.execPath, [file], {
    cwd: root,
    env: { ...bareEnv, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (data) => (output += String(data)));
  child.stderr.on('data', (data) => (output += String(data)));
  const exited = once(child, 'exit').then(([code]): number | null => code);
  const stopWith = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    return await exited;
  };
  return {
    child,
    output: () => output,
    exited,
    crash: async () => void (await stopWith('SIGKILL')),
    terminate: () => stopWith('SIGTERM'),
  };
}
