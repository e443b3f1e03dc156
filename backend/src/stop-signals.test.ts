import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';

const module = join(import.meta.dirname, 'stop-signals.ts');

/** A process whose stop takes as long as `stop` does. It has said `up` when this resolves. */
async function spawnWith(stop: string) {
  const source = `
    import { onStopSignal } from ${JSON.stringify(module)};
    onStopSignal(() => { console.log('stopping'); return ${stop}; });
    setInterval(() => {}, 1_000);
    console.log('up');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  await once(child.stdout, 'data');
  return child;
}

test('a signal is one clean stop, also where a runner passes it on a second time', async () => {
  const child = await spawnWith('new Promise((done) => setTimeout(done, 200))');
  child.kill('SIGINT');
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test('a second signal ends a stop that hangs', async () => {
  const child = await spawnWith('new Promise(() => {})');
  child.kill('SIGTERM');
  await once(child.stdout, 'data');
  await sleep(600);
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([1, null]);
});

test('a stop that fails says why and exits with 1', async () => {
  const child = await spawnWith("Promise.reject(new Error('still busy'))");
  child.kill('SIGHUP');
  const [line] = await once(child.stderr, 'data');
  expect(String(line)).toBe('The stop failed: still busy\n');
  expect(await once(child, 'exit')).toEqual([1, null]);
});
