import { spawn } from 'node:child_process';
import { environmentWith } from '../config.ts';

/** A user of this machine. `undefined` where one is expected means the user we are. */
export interface Account {
  uid: number;
  gid: number;
}

/**
 * Runs a program to its end and resolves with what it wrote to stdout.
 * Rejects with an Error whose message is the last line it wrote to stderr.
 */
export function runProgram(
  file: string,
  args: string[],
  options: { account?: Account; cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(file, args, {
    ...options.account,
    cwd: options.cwd ?? '/',
    env: environmentWith(options.env ?? {}),
    // A group of its own: a terminal's Ctrl-C is for us, and we stop what we started in order.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  child.on('error', reject);
  child.on('close', (code, signal) => {
    if (code === 0) return resolve(output);
    const lastLine = complaint.trim().split('\n').at(-1);
    reject(new Error(lastLine || `${file} ended with ${code ?? signal}`));
  });
  return promise;
}
