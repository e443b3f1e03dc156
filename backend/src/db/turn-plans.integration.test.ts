import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSql, startApi } from '#test/api.ts';
import type { ApiClient, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

const TURNS = 40;

let sql: Sql;
let model: FakeModel;
let api: ApiClient & { close(): Promise<void> };

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  sql = openSql(databaseUrl);
  model = await startFakeModel();
  model.behave({ kind: 'reply' });
  api = await startApi({ databaseUrl, modelUrl: model.url, env: { SUMMARY_MODE: 'off' } });
});

afterAll(async () => {
  await api.close();
  await sql.close();
  await model.close();
});

// A plan that is made while a table is known to be empty may read it whole, and a connection keeps it.
test('no turn reads a whole table, though the plans were made while all were empty', async () => {
  await sql.rows('vacuum analyze');
  for (let turn = 0; turn < TURNS; turn += 1) {
    await api.handle({ chat_id: `chat ${turn % 4}`, text: `Hello for the ${turn}th time` });
  }
  await eventually(async () => {
    const [counted] = await sql.rows<{ turns: number }>(
      `select n_tup_ins::integer as turns from pg_stat_user_tables where relname = 'turns'`,
    );
    expect(counted?.turns).toBe(TURNS);
  });
  const read = await sql.rows(
    `select relname, seq_scan from pg_stat_user_tables
      where relname in ('chat_sessions', 'messages', 'turns', 'conversation_summaries')
        and seq_scan >= $1`,
    [TURNS],
  );
  expect(read).toEqual([]);
});
