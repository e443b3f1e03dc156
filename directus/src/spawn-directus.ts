import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** Directus as a process of its own, in the panel's folder, with `environment` and nothing else. It ends with us. */
export function spawnDirectus(
  command: 'bootstrap' | 'serve',
  environment: NodeJS.ProcessEnv,
  folder: string,
): ChildProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'run-directus.ts'), command], {
    cwd: folder,
    env: environment,
    // A terminal's Ctrl-C is for us; we pass it on. Over the last one it hears when we are gone.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  passOn(child.stdout, process.stdout);
  passOn(child.stderr, process.stderr);
  return child;
}

/** What it says each time it reads the schema, of the tables that are none of its business. */
const unreadable = /^Could not set primary key "\w+" for unknown table "\w+"$/;

function passOn(from: Readable | null, to: NodeJS.WritableStream): void {
  if (from === null) return;
  createInterface(from).on('line', (line) => {
    if (!unreadable.test(line)) to.write(`${line}\n`);
  });
}
