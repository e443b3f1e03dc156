import { spawn } from 'node:child_process';
import { join } from 'node:path';

const entry = join(import.meta.dirname, '../src/local.ts');

export interface LocalStart {
  pid: number;
  /** Resolves with the API's URL once the banner is printed, rejects where the process ends without one. */
  ready: Promise<string>;
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
  /** What it has printed so far. */
  output(): string;
  /** As a terminal does it: to the whole process group. */
  signal(signal: NodeJS.Signals): void;
}

/** Runs the entry behind `pnpm start` as a process (group) of its own, on a free port where none is given. */
export function startLocal(
  environment: Record<string, string>,
  account?: { uid: number; gid: number },
): LocalStart {
  const child = spawn(process.execPath, [entry], {
    ...account,
    cwd: '/',
    detached: true,
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      LOG_LEVEL: 'warn',
      ADMIN_PANEL: 'off',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (child.pid === undefined) throw new Error('the entry could not be spawned');
  const pid = child.pid;
  const ready = Promise.withResolvers<string>();
  const ended = Promise.withResolvers<Awaited<LocalStart['ended']>>();
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    const url = /Chat page +(http:\S+)\/\n/.exec(stdout)?.[1];
    if (url !== undefined) ready.resolve(url);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.on('close', (code) => {
    ended.resolve({ code, stdout, stderr });
    ready.reject(new Error(`ended with ${code}: ${stderr}`));
  });
  // A test that expects no banner never awaits it.
  ready.promise.catch(() => {});
  return {
    pid,
    ready: ready.promise,
    ended: ended.promise,
    output: () => stdout,
    signal: (signal) => void process.kill(-pid, signal),
  };
}
