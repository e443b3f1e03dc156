import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSql, spawnApi } from '#test/api.ts';
import type { ApiProcess, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';
import { brokenSessions } from '#test/served-chats.ts';

const CHATS = 6;

/** What a next version may do in one step: add, and replace a function by one that old callers can use. */
const nextMigration = `
import { sql } from 'kysely';
export async function up(db) {
  await sql\`alter table chat_sessions add column next_a text not null default 'x'\`.execute(db);
  await sql\`alter table turns add column next_b integer check (next_b > 0)\`.execute(db);
  await sql\`alter table messages add column next_c text\`.execute(db);
  await sql\`select pg_sleep(0.3)\`.execute(db);
  await sql\`create index turns_next on turns (next_b) where next_b is not null\`.execute(db);
  await sql\`create or replace function lock_chat(p_chat_id text) returns void language sql as $$
    select pg_advisory_xact_lock(hashtextextended(p_chat_id, 0)) $$\`.execute(db);
}`;

let model: FakeModel;
let sql: Sql;
let databaseUrl: string;
let nextVersion: string;
const processes: ApiProcess[] = [];

beforeAll(async () => {
  ({ url: databaseUrl } = await createTestDatabase());
  model = await startFakeModel();
  model.behave({ kind: 'reply', delayMs: 20 });
  sql = openSql(databaseUrl);
  nextVersion = await mkdtemp(path.join(tmpdir(), 'llm-bot-core-next-'));
  const backend = path.join(import.meta.dirname, '../..');
  for (const part of ['package.json', 'src', 'public']) {
    await cp(path.join(backend, part), path.join(nextVersion, part), { recursive: true });
  }
  await symlink(path.join(backend, 'node_modules'), path.join(nextVersion, 'node_modules'));
  await writeFile(path.join(nextVersion, 'src/db/migrations/9999-next.ts'), nextMigration);
});

afterAll(async () => {
  for (const api of processes) api.kill('SIGKILL');
  await sql.close();
  await model.close();
  await rm(nextVersion, { recursive: true, force: true });
});

async function start(version: 'this' | 'next'): Promise<ApiProcess> {
  const options = { databaseUrl, modelUrl: model.url };
  const api =
    version === 'this'
      ? await spawnApi(options)
      : await spawnApi(options, path.join(nextVersion, 'src/api.ts'));
  processes.push(api);
  return api;
}

test('two versions serve one database while it is migrated, and no turn fails', async () => {
  const old = await start('this');
  const serving = [old];
  const seen: { by: ApiProcess; status: number; body: unknown }[] = [];
  const stop = new AbortController();
  const answeredBy = (api: ApiProcess) => seen.filter(({ by }) => by === api).length;
  async function talk(caller: number): Promise<void> {
    for (let count = caller; !stop.signal.aborted; count += 1) {
      const by = serving[count % serving.length] ?? old;
      // Two callers a chat: turns also wait for one another, across both processes.
      const { status, body } = await by.handle({ chat_id: `chat ${caller % CHATS}`, text: 'Hi' });
      seen.push({ by, status, body });
    }
  }
  const load = Promise.all(Array.from({ length: 2 * CHATS }, (_, caller) => talk(caller)));
  // Where the test ends early, so do its callers.
  load.catch(() => {});
  await eventually(() => expect(answeredBy(old)).toBeGreaterThan(50), 60_000);

  // Somebody looks at the turns, and goes to lunch with the transaction open.
  const operator = new Client({ connectionString: databaseUrl });
  await operator.connect();
  await operator.query('begin');
  await operator.query('select count(*) from turns');
  const starting = start('next');
  await eventually(async () => {
    const waiting = await sql.rows(
      `select from pg_locks where mode = 'AccessExclusiveLock' and not granted
        and relation = 'turns'::regclass`,
    );
    expect(waiting).toHaveLength(1);
  }, 90_000);
  const before = answeredBy(old);
  await eventually(() => expect(answeredBy(old)).toBeGreaterThan(before + 100), 60_000);
  expect(await nextColumns()).toBe(0);
  await operator.query('commit');
  await operator.end();

  const next = await starting;
  serving.push(next);
  // A process of the old version that crashes now must be able to come back.
  const oldAgain = await start('this');
  serving.push(oldAgain);
  const atOnce = [old, next, oldAgain].map((api) => ({ api, count: answeredBy(api) }));
  await eventually(() => {
    for (const { api, count } of atOnce) expect(answeredBy(api)).toBeGreaterThan(count + 50);
  }, 60_000);
  stop.abort();
  await load;

  expect(await nextColumns()).toBe(3);
  expect(seen.filter(({ status }) => status !== 200)).toEqual([]);
  expect(await sql.rows(`select distinct state from turns`)).toEqual([{ state: 'answered' }]);
  expect(await sql.rows(brokenSessions)).toEqual([]);
}, 300_000);

async function nextColumns(): Promise<number> {
  const rows = await sql.rows(
    `select from information_schema.columns where column_name like 'next\\__'`,
  );
  return rows.length;
}
