import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '#src/config.ts';
import { createLogger } from '#src/logger.ts';
import { serveWorker } from '#src/serve-worker.ts';
import { openSql, startApi } from '#test/api.ts';
import type { ApiClient, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';
import { readMetrics, seriesOf } from '#test/metrics.ts';

let model: FakeModel;
let sql: Sql;
let databaseUrl: string;
let api: ApiClient & { close(): Promise<void> };

beforeAll(async () => {
  ({ url: databaseUrl } = await createTestDatabase());
  model = await startFakeModel();
  sql = openSql(databaseUrl);
  const env = { SUMMARY_THRESHOLD: '4', SUMMARY_MODE: 'off', CONTEXT_TOKEN_BUDGET: '120' };
  api = await startApi({ databaseUrl, modelUrl: model.url, env });
});

afterAll(async () => {
  await api.close();
  await sql.close();
  await model.close();
});

test('what real turns did is what a scrape tells', async () => {
  const usage = { prompt_tokens: 70, completion_tokens: 5 };
  model.behave({ kind: 'reply', text: 'a secret answer', usage, delayMs: 120 });
  const message = {
    chat_id: 'a-chat-id',
    user_id: 'a-user-id',
    text: 'some words',
    message_id: 'm',
  };
  await Promise.all([api.handle(message), api.handle({ ...message, message_id: 'behind' })]);
  expect((await api.handle(message)).body.replayed).toBe(true);
  expect((await api.handle({ ...message, text: 'other' })).body.code).toBe('idempotency_mismatch');
  for (const text of ['one '.repeat(40), 'two '.repeat(40), 'three']) {
    await api.handle({ chat_id: 'long', text });
  }
  model.behave({ kind: 'status', status: 400 });
  expect((await api.handle({ chat_id: 'b', text: 'fails' })).status).toBe(502);
  await sql.rows(`insert into users (id, daily_token_budget) values ('poor', 1)`);
  const refused = await api.handle({ chat_id: 'c', user_id: 'poor', text: 'Hi' });
  expect(refused.body.code).toBe('budget_exhausted');
  await sql.rows(`update chat_sessions set summary_failed_at = now() where chat_id = 'long'`);

  const { text, value } = await readMetrics(api);
  expect(value('llmbot_turns_total{outcome="answered"}')).toBe(5);
  expect(value('llmbot_turns_total{outcome="failed"}')).toBe(1);
  expect(value('llmbot_turn_replays_total')).toBe(1);
  for (const code of ['idempotency_mismatch', 'model_failed', 'budget_exhausted']) {
    expect(value(`llmbot_turn_problems_total{code="${code}"}`)).toBe(1);
  }
  expect(value('llmbot_model_tokens_total{kind="prompt"}')).toBe(5 * 70);
  expect(value('llmbot_model_tokens_total{kind="completion"}')).toBe(5 * 5);
  expect(value('llmbot_model_duration_seconds_count')).toBe(5);
  expect(value('llmbot_model_duration_seconds_sum')).toBeGreaterThan(5 * 0.11);
  expect(value('llmbot_turn_duration_seconds_count')).toBe(5);
  expect(value('llmbot_turn_wait_seconds_count')).toBe(1);
  expect(value('llmbot_turn_wait_seconds_sum')).toBeGreaterThan(0.05);
  expect(value('llmbot_window_messages_count')).toBe(5);
  // The last prompt had no room for the two long messages and what was said to them.
  expect(value('llmbot_left_out_messages_total')).toBeGreaterThan(0);
  expect(value('llmbot_running_turns{state="answering"}')).toBe(0);
  expect(value('llmbot_database_waiting_statements')).toBe(0);
  expect(value('llmbot_summaries_waiting')).toBe(2);
  expect(value('llmbot_summaries_failed')).toBe(1);
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(1e7);
  expect(value('process_cpu_seconds_total')).toBeGreaterThan(0);

  // Nobody's words, and nobody's ids.
  expect(text).not.toMatch(/secret|words|a-chat-id|a-user-id|poor|[0-9a-f]{8}-[0-9a-f]{4}-/);
  const ours = seriesOf(text).filter(({ series }) => series.startsWith('llmbot_'));
  const labels = new Set(ours.flatMap(({ labels: names }) => names));
  expect([...labels].toSorted()).toEqual(['code', 'kind', 'le', 'outcome', 'state']);
});

test('the index is behind until everything is indexed', async () => {
  await sql.rows(`
    with session as (
      insert into chat_sessions (chat_id, user_id) values ('lag', 'lag') returning id
    )
    insert into messages (session_id, role, content, created_at)
      select id, 'user', 'word ' || n, now() - interval '1 hour'
        from session, generate_series(1, 2000) as n`);
  const behind = await readMetrics(api);
  const config = loadConfig({ SUMMARY_MODE: 'off' });
  expect(behind.value('llmbot_index_pending_rows')).toBeGreaterThan(0);
  expect(behind.value('llmbot_index_oldest_pending_seconds')).toBeGreaterThanOrEqual(3_600);
  const worker = await serveWorker(config, databaseUrl, createLogger('silent'));
  await eventually(async () => {
    const { value } = await readMetrics(api);
    expect(value('llmbot_index_pending_rows')).toBe(0);
    expect(value('llmbot_index_oldest_pending_seconds')).toBe(0);
  });
  await worker.close();
});

test('metrics are for those who have a key; without any, for this machine', async () => {
  const guarded = await startApi({ databaseUrl, env: { API_KEY: 'k' } });
  expect((await guarded.get('/metrics')).status).toBe(401);
  const authorization = 'Bearer k';
  expect((await guarded.get('/metrics', { headers: { authorization } })).status).toBe(200);
  await guarded.close();
});
