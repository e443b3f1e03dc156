import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createDataFolder, listProcessesOn, queryUrl, waitUntil } from '#test/data-folder.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';

// Each test starts PostgreSQL several times, perhaps beside a machine's other work.
vi.setConfig({ testTimeout: 120_000 });

test('it is durable, on loopback only, behind a password, and stops without a trace', async () => {
  const dataDir = await createDataFolder();
  const postgres = await startEmbeddedPostgres({ dataDir });
  const [settings] = await queryUrl(
    postgres.url,
    `select current_setting('fsync') fsync, current_setting('synchronous_commit') commit,
       current_setting('full_page_writes') pages, current_setting('listen_addresses') listen,
       current_setting('server_encoding') encoding, current_setting('timezone') zone`,
  );
  expect(settings).toEqual({
    fsync: 'on',
    commit: 'on',
    pages: 'on',
    listen: '127.0.0.1',
    encoding: 'UTF8',
    zone: 'UTC',
  });
  const wrong = Object.assign(new URL(postgres.url), { password: 'guess' }).href;
  await expect(queryUrl(wrong, 'select 1')).rejects.toThrow('password authentication failed');
  const password = await stat(join(postgres.folder, 'llm-bot-core.password'));
  expect(password.mode & 0o777).toBe(0o600);

  await postgres.stop();
  expect(await listProcessesOn(dataDir)).toEqual([]);
});

test('full-text search tells words of any script from what stands between them', async () => {
  const postgres = await startEmbeddedPostgres({ dataDir: await createDataFolder() });
  const [row] = await queryUrl(postgres.url, `select to_tsvector('simple', 'Да—«НЕТ»') words`);
  expect(row).toEqual({ words: "'да':1 'нет':2" });
  await postgres.stop();
});

test('a second start on the folder is refused and the first is none the worse', async () => {
  const dataDir = await createDataFolder();
  const postgres = await startEmbeddedPostgres({ dataDir });
  await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow(
    `DATA_DIR: another start already runs on ${dataDir}/postgres (process ${process.pid})`,
  );
  expect(await queryUrl(postgres.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await postgres.stop();
});

test('a lost owner session is taken up again, so a second start is still refused', async () => {
  const dataDir = await createDataFolder();
  const postgres = await startEmbeddedPostgres({ dataDir });
  const owners = `select pid from pg_stat_activity where application_name like 'owner %'`;
  const [lost] = await queryUrl(postgres.url, owners);
  await queryUrl(postgres.url, `select pg_terminate_backend(pid) from (${owners})`);
  await waitUntil(async () => {
    const [owner] = await queryUrl(postgres.url, owners);
    return owner !== undefined && JSON.stringify(owner) !== JSON.stringify(lost);
  });
  await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow('another start already runs');
  await postgres.stop();
});

test('a postmaster.pid whose pid is another program now does not keep it from starting', async () => {
  const dataDir = await createDataFolder();
  const first = await startEmbeddedPostgres({ dataDir });
  const pidFile = join(first.folder, 'postmaster.pid');
  const lines = (await readFile(pidFile, 'utf8')).split('\n');
  await first.stop();
  const { uid, gid } = await stat(first.folder);
  const other = spawn('sleep', ['1000'], { uid, gid });
  onTestFinished(() => void other.kill());
  await writeFile(pidFile, [other.pid, ...lines.slice(1)].join('\n'));

  const second = await startEmbeddedPostgres({ dataDir });
  await second.stop();
});

test('a folder of another PostgreSQL is refused and left as it is', async () => {
  const dataDir = await createDataFolder();
  const version = join(dataDir, 'postgres', 'PG_VERSION');
  await mkdir(dirname(version));
  await writeFile(version, '17\n');
  await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow(
    `DATA_DIR: ${dataDir}/postgres was made by PostgreSQL 17 and cannot be opened by PostgreSQL 18; move it away`,
  );
  expect(await readFile(version, 'utf8')).toBe('17\n');
});

test('what cannot start says why, and nothing of it keeps running', async () => {
  const dataDir = await createDataFolder();
  const first = await startEmbeddedPostgres({ dataDir });
  await first.stop();
  const file = join(first.folder, 'postgresql.conf');
  await writeFile(file, `${await readFile(file, 'utf8')}\nmax_connections = many\n`);
  await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow(
    /DATA_DIR: PostgreSQL does not start on \S+ \(FATAL: .*postgresql.conf.*its log is \S+$/,
  );
  expect(await listProcessesOn(dataDir)).toEqual([]);
});

test('a process that just exits takes PostgreSQL with it', async () => {
  const dataDir = await createDataFolder();
  const source = `
    import { startEmbeddedPostgres } from ${JSON.stringify(join(import.meta.dirname, 'embedded-postgres.ts'))};
    await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)} });
    process.exit(3);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source]);
  expect(await once(child, 'exit')).toEqual([3, null]);
  await waitUntil(async () => (await listProcessesOn(dataDir)).length === 0);

  const postgres = await startEmbeddedPostgres({ dataDir });
  await postgres.stop();
});

test.runIf(process.getuid?.() === 0)(
  'root may keep the data in a folder that no one else can enter',
  async () => {
    const dataDir = await createDataFolder();
    await chmod(dataDir, 0o700);
    const first = await startEmbeddedPostgres({ dataDir });
    const target = await readlink(join(dataDir, 'postgres'));
    onTestFinished(() => rm(dirname(target), { recursive: true }));
    expect(first.folder).toBe(target);
    await queryUrl(first.url, 'create table kept as select 42 as answer');
    await first.stop();

    const second = await startEmbeddedPostgres({ dataDir });
    expect(await queryUrl(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
    await second.stop();
  },
);
