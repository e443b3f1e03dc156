import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openSql, startApi, streamHandle } from '#test/api.ts';
import type { ApiClient, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';
import { readMetrics } from '#test/metrics.ts';

const LIMIT = 3;

let model: FakeModel;
let sql: Sql;
let api: ApiClient & { close(): Promise<void> };
let release: () => void;
let running: Promise<unknown>;

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  model = await startFakeModel();
  sql = openSql(databaseUrl);
  const env = { MAX_CONCURRENT_TURNS: String(LIMIT), RAG_ENABLED: 'false' };
  api = await startApi({ databaseUrl, modelUrl: model.url, env });
});

afterAll(async () => {
  await api.close();
  await sql.close();
  await model.close();
});

/** As many turns as the process takes on, until `release`. */
async function fill(): Promise<void> {
  const hold = Promise.withResolvers<void>();
  release = hold.resolve;
  model.behave(async () => {
    await hold.promise;
    return { kind: 'reply' };
  });
  const before = model.requests.length;
  running = Promise.all(
    Array.from({ length: LIMIT }, (_, chat) =>
      api.handle({ chat_id: `full ${chat}`, text: 'Hi', message_id: `${before}` }),
    ),
  );
  await eventually(() => expect(model.requests).toHaveLength(before + LIMIT));
}

beforeEach(() => model.behave({ kind: 'reply' }));

test('what comes beyond the limit is asked to come back, and leaves nothing behind', async () => {
  await fill();
  const { status, body, headers } = await api.handle({ chat_id: 'beyond', text: 'Hi' });
  expect({ status, code: body.code }).toEqual({ status: 429, code: 'overloaded' });
  expect(headers.get('content-type')).toBe('application/problem+json');
  expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  const { response } = await streamHandle(api, { chat_id: 'beyond', text: 'Hi', message_id: 'm' });
  expect(response.status).toBe(429);
  expect(await sql.rows(`select from chat_sessions where chat_id = 'beyond'`)).toEqual([]);
  expect(await sql.rows(`select from turns where chat_id = 'beyond'`)).toEqual([]);
  const { value } = await readMetrics(api);
  expect(value('llmbot_turn_problems_total{code="overloaded"}')).toBe(2);
  expect(value('llmbot_running_turns{state="answering"}')).toBe(LIMIT);

  release();
  await running;
  const again = await api.handle({ chat_id: 'beyond', text: 'Hi', message_id: 'm' });
  expect(again).toMatchObject({ status: 200, body: { replayed: false } });
});

test('under overload a repeat still gets its reply, and only who may speak', async () => {
  const said = { chat_id: 'repeated', user_id: 'ada', text: 'Hi', message_id: 'm' };
  const { body: reply } = await api.handle(said);
  model.behave({ kind: 'status', status: 400 });
  const failed = { chat_id: 'failed', user_id: 'ada', text: 'Hi', message_id: 'm' };
  expect((await api.handle(failed)).status).toBe(502);
  await fill();
  expect((await api.handle(said)).body).toEqual({ ...reply, replayed: true });
  expect((await api.handle({ ...said, text: 'Ho' })).body.code).toBe('idempotency_mismatch');
  // A failed one would have to be answered anew.
  expect((await api.handle(failed)).body.code).toBe('overloaded');
  const joined = api.handle({
    chat_id: 'full 0',
    text: 'Hi',
    message_id: String(model.requests.length - LIMIT),
  });
  await sql.rows(`insert into users (id, access) values ('ada', 'blocked')`);
  expect((await api.handle(said)).body.code).toBe('overloaded');
  release();
  await running;
  expect((await joined).body).toMatchObject({ text: 'echo: Hi', replayed: true });
});

test('a caller that reads nothing of its stream holds up nothing', async () => {
  // More than the buffers of both sides hold.
  const text = `${'x'.repeat(1_000_000)} `.repeat(8);
  model.behave({ kind: 'reply', text });
  const { hostname, port } = new URL(api.url);
  const body = JSON.stringify({ chat_id: 'deaf', user_id: 'ada 2', text: 'Hi' });
  const socket = connect(Number(port), hostname).pause();
  socket.write(
    `POST /v1/chat/handle HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await eventually(async () => {
    const [turn] = await sql.rows(`select state, error from turns where chat_id = 'deaf'`);
    expect(turn).toEqual({ state: 'answered', error: null });
  });
  model.behave({ kind: 'reply' });
  const others = Array.from({ length: LIMIT }, (_, chat) =>
    api.handle({ chat_id: `after ${chat}`, text: 'Hi' }),
  );
  expect((await Promise.all(others)).map(({ status }) => status)).toEqual(others.map(() => 200));
  socket.destroy();
});
