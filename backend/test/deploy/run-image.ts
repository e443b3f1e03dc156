import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Stage } from './image.ts';

/** A command that runs in an image made by hand. */
export interface RunningImage {
  /** All it printed. */
  output(): string;
  /** Resolves with the exit code. */
  exited: Promise<number | null>;
  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null>;
}

/** The image's `node` user; only root can become it. */
const account = process.getuid?.() === 0 ? { uid: 1000, gid: 1000 } : {};

/** Runs a command as the container would: its user, its folder, and no environment but its own. */
export function runInImage(
  image: Stage,
  command: string[],
  env: Record<string, string>,
  node: string,
): RunningImage {
  const [program = '', ...rest] = command;
  const child = spawn(program === 'node' ? node : program, rest, {
    ...account,
    cwd: image.workdir,
    env: { ...image.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (data) => (output += String(data)));
  child.stderr.on('data', (data) => (output += String(data)));
  const exited = once(child, 'close').then(([code]: (number | null)[]) => code ?? null);
  return {
    output: () => output,
    exited,
    terminate: async () => {
      child.kill('SIGTERM');
      return await exited;
    },
  };
}

/** Every file of an image with the time it was last changed. */
export async function listFiles({ root }: Stage): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    found.set(path.relative(root, file), (await stat(file)).mtimeMs);
  }
  return found;
}
