import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '#src/config.ts';
import { connect } from '#src/db/connect.ts';
import { runProgram } from '#src/local/run-program.ts';
import { createLogger } from '#src/logger.ts';
import { serveWorker } from '#src/serve-worker.ts';
import { openSql, startApi } from '#test/api.ts';
import { createEmptyDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { pathWithPostgresTools } from '#test/postgres-tools.ts';
import { brokenSessions, serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';
import { findBrokenSessions } from './check-invariants.ts';
import { findPostgresTools } from './postgres-tools.ts';

const CHATS = 8;

let chats: ServedChats;
let folder: string;
let searchPath: string;
let stopLoad: () => Promise<void>;
let restored: Awaited<ReturnType<typeof createEmptyDatabase>>;

beforeAll(async () => {
  searchPath = await pathWithPostgresTools();
  folder = await mkdtemp(path.join(tmpdir(), 'llm-bot-core-backup-'));
  chats = await serveChats({ SUMMARY_THRESHOLD: '6', SHORT_HISTORY_LIMIT: '4' });
  await chats.startWorker();
  const stop = new AbortController();
  const load = Array.from({ length: CHATS }, (_, chat) => talk(`chat ${chat}`, stop.signal));
  stopLoad = async () => {
    stop.abort();
    await Promise.all(load);
  };
  restored = await createEmptyDatabase();
});

afterAll(async () => {
  await stopLoad();
  await chats.close();
  await restored.drop();
  await rm(folder, { recursive: true, force: true });
});

/** Somebody who writes without a pause, and an operator who deletes something now and then. */
async function talk(chat: string, stop: AbortSignal): Promise<void> {
  for (let count = 1; !stop.aborted; count += 1) {
    await chats.say(chat, `Number ${count} of ${chat} is ${count * 7} apples.`);
    if (count % 9 !== 0) continue;
    await chats.sql(
      `delete from messages where id = (select max(m.id) from messages m
        join chat_sessions s on s.id = m.session_id where s.chat_id = $1 and m.role = 'user')`,
      [chat],
    );
  }
}

const command = (entry: 'backup' | 'restore', databaseUrl: string, file: string) =>
  runProgram(process.execPath, [path.join(import.meta.dirname, '..', `${entry}.ts`), file], {
    env: { PATH: searchPath, DATABASE_URL: databaseUrl },
  });

test('a backup under load is restored: the invariants hold, and the memory is the same', async () => {
  await eventually(async () => {
    const [row] = await chats.sql<{ versions: number }>(
      'select count(*)::integer as versions from conversation_summaries',
    );
    expect(row?.versions).toBeGreaterThan(CHATS);
  }, 60_000);
  const count = 'select count(*)::integer as count from messages';
  const [before] = await chats.sql<{ count: number }>(count);
  const file = path.join(folder, 'one.dump');
  const said = await command('backup', chats.databaseUrl, file);
  const [after] = await chats.sql<{ count: number }>(count);
  expect(after?.count).toBeGreaterThan(before?.count ?? 0);
  expect((await stat(file)).mode & 0o077).toBe(0);
  await stopLoad();

  const told = await command('restore', restored.url, file);
  const digest = /memory digest ([0-9a-f]{32})/.exec(said)?.[1];
  expect(digest).toBeDefined();
  expect(told).toContain(`Memory digest ${digest}, as it was backed up.`);
  const operator = openSql(restored.url);
  expect(await operator.rows(brokenSessions)).toEqual([]);
  const [found] = await operator.rows<{ count: number }>(count);
  expect(found?.count).toBeGreaterThanOrEqual(before?.count ?? 0);
  expect(found?.count).toBeLessThanOrEqual(after?.count ?? 0);
  // Nobody knows whether these have been sent since.
  expect(
    await operator.rows(
      `select distinct delivery_state from messages where role = 'assistant' order by 1`,
    ),
  ).toEqual([{ delivery_state: 'uncertain' }]);
  expect(await operator.rows(`select from pg_namespace where nspname = 'bullmq'`)).toEqual([]);
  await operator.close();
});

test('the restored database is spoken to as ever, and its index is built again', async () => {
  const api = await startApi({ databaseUrl: restored.url });
  const reply = await api.handle({ chat_id: 'chat 1', text: 'What comes next?' });
  expect(reply).toMatchObject({ status: 200 });
  const { body: memory } = await api.get<{ summary: object | null }>('/v1/chats/chat%201/memory');
  expect(memory.summary).not.toBeNull();
  const config = loadConfig({ SUMMARY_MODE: 'off' });
  const worker = await serveWorker(config, restored.url, createLogger('silent'));
  await eventually(async () => {
    const { body } = await api.post<{ hits: { text: string }[] }>('/v1/memory/search', {
      chat_id: 'chat 1',
      query: 'Number 2: how many apples?',
    });
    expect(body.hits.some(({ text }) => text.includes('Number 2 of chat 1'))).toBe(true);
  });
  await worker.close();
  await api.close();
});

test('only an empty database is restored into', async () => {
  const file = path.join(folder, 'one.dump');
  await expect(command('restore', restored.url, file)).rejects.toThrow(
    /^DATABASE_URL: the database is not empty \(it has .+\); create another one/,
  );
});

test('a backup that is not what it was said to be is not taken for it', async () => {
  const file = path.join(folder, 'one.dump');
  const empty = await createEmptyDatabase();
  const record = JSON.parse(await readFile(`${file}.json`, 'utf8'));
  await writeFile(`${file}.json`, JSON.stringify({ ...record, digest: 'other' }));
  await expect(command('restore', empty.url, file)).rejects.toThrow(/is not what was backed up/);
  await empty.drop();
});

test.each([
  ['counter', `update chat_sessions set messages_since_summary = messages_since_summary + 1`],
  ['versions', `update conversation_summaries set version = version + 1000 where version > 1`],
  [
    'hole',
    `create or replace function read_memory(p_session_id uuid, p_before bigint,
        p_history_limit integer, p_token_budget integer, p_recall jsonb) returns json
      stable language sql as $$ select '{"window": []}'::json $$`,
  ],
  ['order of ids', `update chat_sessions set last_message_id = 1`],
])('broken memory is found: %s', async (problem, sabotage) => {
  const { db, close } = connect(restored.url, { max: 1 });
  expect(await findBrokenSessions(db)).toEqual([]);
  await db
    .transaction()
    .execute(async (tx) => {
      await sql`set local session_replication_role = replica`.execute(tx);
      await sql.raw(sabotage).execute(tx);
      const broken = await findBrokenSessions(tx);
      expect(new Set(broken.map((found) => found.problem))).toEqual(new Set([problem]));
      throw new Error('undone');
    })
    .catch((error: Error) => expect(error.message).toBe('undone'));
  await close();
});

test('a machine without new enough programs is told what to install', async () => {
  await expect(findPostgresTools(99, searchPath)).rejects.toThrow(
    /^PATH: the server is PostgreSQL 99, .* only \d+ was found .*Install postgresql-client-99/,
  );
});
