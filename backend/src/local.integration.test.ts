import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chown, readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import {
  createDataFolder,
  killProcessesOn,
  listProcessesOn,
  queryDataFolder,
  waitUntil,
} from '#test/data-folder.ts';
import { startLocal } from '#test/local-start.ts';
import type { LocalStart } from '#test/local-start.ts';

// Each test starts PostgreSQL several times, perhaps beside a machine's other work.
vi.setConfig({ testTimeout: 120_000 });

const nobody = { uid: 65_534, gid: 65_534 };
const canRunAsNobody =
  process.getuid?.() === 0 &&
  spawnSync(process.execPath, [join(import.meta.dirname, 'config.ts')], { ...nobody, cwd: '/' })
    .status === 0;

/** Ctrl-C, and proof that it ended well and left nothing behind. */
async function stopsCleanly(local: LocalStart, dataDir: string): Promise<void> {
  expect((await listProcessesOn(dataDir)).length).toBeGreaterThan(1);
  local.signal('SIGINT');
  expect(await local.ended).toMatchObject({ code: 0, stderr: '' });
  expect(await listProcessesOn(dataDir)).toEqual([]);
}

/** It ended with an error of exactly one line. */
async function failsWithLine(local: LocalStart, line: string | RegExp): Promise<void> {
  const { code, stdout, stderr } = await local.ended;
  expect(stderr).toMatch(line);
  expect(stderr.trimEnd()).not.toContain('\n');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
}

test('answers, stops on Ctrl-C without a trace, and finds its data again', async () => {
  const dataDir = await createDataFolder();
  const first = startLocal({ DATA_DIR: dataDir });
  const health = await fetch(`${await first.ready}/health`);
  expect([health.status, await health.json()]).toMatchObject([200, { status: 'ok' }]);
  await queryDataFolder(dataDir, 'create table kept as select 42 as answer');
  await stopsCleanly(first, dataDir);

  const second = startLocal({ DATA_DIR: dataDir });
  await second.ready;
  expect(await queryDataFolder(dataDir, 'select answer from kept')).toEqual([{ answer: 42 }]);
  await stopsCleanly(second, dataDir);
});

test('a Ctrl-C in the middle of the first start ends it cleanly too', async () => {
  const dataDir = await createDataFolder();
  const local = startLocal({ DATA_DIR: dataDir });
  await waitUntil(async () => (await readdir(dataDir)).length > 0);
  local.signal('SIGINT');
  expect(await local.ended).toMatchObject({ code: 0, stderr: '' });
  expect(await listProcessesOn(dataDir)).toEqual([]);
});

test.each(['the node process', 'the whole tree'])(
  'starts again after kill -9 of %s',
  async (what) => {
    const dataDir = await createDataFolder();
    const first = startLocal({ DATA_DIR: dataDir });
    await first.ready;
    await queryDataFolder(dataDir, 'create table kept as select 42 as answer');
    if (what === 'the whole tree') await killProcessesOn(dataDir);
    else process.kill(first.pid, 'SIGKILL');
    await first.ended;

    const second = startLocal({ DATA_DIR: dataDir });
    await second.ready;
    expect(await queryDataFolder(dataDir, 'select answer from kept')).toEqual([{ answer: 42 }]);
    await stopsCleanly(second, dataDir);
  },
);

test('starts over after kill -9 in the middle of the first start', async () => {
  const dataDir = await createDataFolder();
  const first = startLocal({ DATA_DIR: dataDir });
  await waitUntil(async () => (await readdir(dataDir)).length > 0);
  await killProcessesOn(dataDir);
  await first.ended;
  expect(await readdir(dataDir)).not.toContain('postgres');

  const second = startLocal({ DATA_DIR: dataDir });
  await second.ready;
  expect(await readdir(dataDir)).toEqual(['postgres']);
  await stopsCleanly(second, dataDir);
});

test('of two starts on one folder one runs, the other says so', async () => {
  const dataDir = await createDataFolder();
  const both = [startLocal({ DATA_DIR: dataDir }), startLocal({ DATA_DIR: dataDir })];
  const loser = await Promise.race(both.map((local) => local.ended.then(() => local)));
  const winner = both.find((local) => local !== loser)!;
  await failsWithLine(
    loser,
    `DATA_DIR: another start already runs on ${dataDir}/postgres (process ${winner.pid})`,
  );
  expect((await fetch(`${await winner.ready}/health`)).status).toBe(200);
  await stopsCleanly(winner, dataDir);
});

test('a port in use is one line, and PostgreSQL is stopped again', async () => {
  const dataDir = await createDataFolder();
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? String(address?.port) : '';
  const local = startLocal({ DATA_DIR: dataDir, PORT: port });
  await failsWithLine(local, `PORT: ${port} is in use on 127.0.0.1; set PORT to another`);
  expect(await listProcessesOn(dataDir)).toEqual([]);
  server.close();
});

test('a host of another machine is one line', async () => {
  const dataDir = await createDataFolder();
  const local = startLocal({ DATA_DIR: dataDir, HOST: '192.0.2.1', API_KEY: 'secret' });
  await failsWithLine(local, 'HOST: 192.0.2.1 is not an address of this machine');
  expect(await listProcessesOn(dataDir)).toEqual([]);
});

test('a database that cannot be reached is one line, and no other is started', async () => {
  const dataDir = await createDataFolder();
  const DATABASE_URL = 'postgres://bot:hidden@127.0.0.1:1/bot';
  await failsWithLine(
    startLocal({ DATA_DIR: dataDir, DATABASE_URL }),
    /^DATABASE_URL: (?!.*hidden).*127\.0\.0\.1:1/,
  );
  expect(await readdir(dataDir)).toEqual([]);
});

test('a data folder that cannot be is one line', async () => {
  await failsWithLine(startLocal({ DATA_DIR: '/dev/null/x' }), /^DATA_DIR: \/dev\/null\/x cannot/);
});

test.runIf(canRunAsNobody)(
  'runs as an ordinary user, whose folder root then takes over',
  async () => {
    const dataDir = await createDataFolder();
    await failsWithLine(startLocal({ DATA_DIR: dataDir }, nobody), /^DATA_DIR: .*EACCES/);

    await chown(dataDir, nobody.uid, nobody.gid);
    const local = startLocal({ DATA_DIR: dataDir }, nobody);
    expect((await fetch(`${await local.ready}/health`)).status).toBe(200);
    await stopsCleanly(local, dataDir);

    const asRoot = startLocal({ DATA_DIR: dataDir });
    await asRoot.ready;
    await stopsCleanly(asRoot, dataDir);
  },
);

test('a wrong environment lists every problem at once, without a stack', async () => {
  const { code, stderr } = await startLocal({ PORT: 'eighty', DATABASE_URL: 'mysql://x' }).ended;
  expect(code).toBe(1);
  expect(stderr.trimEnd().split('\n')).toEqual([
    'The configuration cannot be used:',
    '  PORT: must be a whole number',
    '  DATABASE_URL: must be a URL like postgres://user:password@host:5432/name',
  ]);
});

test('a folder that is not a PostgreSQL of ours is one line and stays as it is', async () => {
  const dataDir = await createDataFolder();
  await writeFile(join(dataDir, 'postgres'), 'a letter');
  await failsWithLine(startLocal({ DATA_DIR: dataDir }), /postgres was not made by this program/);
});
