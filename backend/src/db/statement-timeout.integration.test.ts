import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSql, startApi } from '#test/api.ts';
import type { ApiClient, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

/** As some hosts set it for everybody; here short enough to be met. */
const STATEMENT_TIMEOUT = '200ms';

let model: FakeModel;
let sql: Sql;
let holder: Client;
let api: ApiClient & { close(): Promise<void> };

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  model = await startFakeModel();
  sql = openSql(databaseUrl);
  holder = new Client({ connectionString: databaseUrl });
  await holder.connect();
  await sql.rows(
    `alter database ${new URL(databaseUrl).pathname.slice(1)} set statement_timeout = '${STATEMENT_TIMEOUT}'`,
  );
  api = await startApi({ databaseUrl, modelUrl: model.url, env: { RAG_ENABLED: 'false' } });
  await api.handle({ chat_id: 'held', text: 'Hello' });
});

afterAll(async () => {
  await api.close();
  await holder.end();
  await sql.close();
  await model.close();
});

const hold = async () => {
  await holder.query('begin');
  await holder.query(`select from chat_sessions where chat_id = 'held' for update`);
};

test('a message that the server has no time for may be sent again', async () => {
  const words = { chat_id: 'held', text: 'Are you there?', message_id: 'm1' };
  await hold();
  expect(await api.handle(words)).toMatchObject({
    status: 503,
    body: { code: 'database_unavailable' },
  });
  await holder.query('commit');
  expect(await api.handle(words)).toMatchObject({ status: 200, body: { replayed: false } });
});

test('a reply that it has no time for is stored a moment later', async () => {
  model.behave(() => ({ kind: 'reply', text: 'Here I am', delayMs: 300 }));
  const answered = api.handle({ chat_id: 'held', text: 'And now?', message_id: 'm2' });
  await expect.poll(() => sql.rows(`select from turns where state = 'answering'`)).toHaveLength(1);
  await hold();
  const failures = `select from pg_stat_activity where wait_event_type = 'Lock'`;
  await expect.poll(() => sql.rows(failures)).toHaveLength(1);
  await expect.poll(() => sql.rows(failures)).toHaveLength(0);
  await holder.query('commit');
  expect(await answered).toMatchObject({ status: 200, body: { text: 'Here I am' } });
});
