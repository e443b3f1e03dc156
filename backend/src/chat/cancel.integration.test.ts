import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { allEvents, openSql, startApi, streamHandle } from '#test/api.ts';
import type { ApiClient, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

type Api = Awaited<ReturnType<typeof startApi>>;

let model: FakeModel;
let sql: Sql;
let api: Api;
/** Another process, as far as the API can tell: its own connections, its own turns. */
let other: Api;

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  model = await startFakeModel();
  sql = openSql(databaseUrl);
  api = await startApi({ databaseUrl, modelUrl: model.url });
  other = await startApi({ databaseUrl, modelUrl: model.url });
});

beforeEach(() => {
  model.requests.length = 0;
});

afterAll(async () => {
  await Promise.all([api.close(), other.close()]);
  await sql.close();
  await model.close();
});

const through: [string, () => ApiClient][] = [
  ['the same process', () => api],
  ['another process', () => other],
];

test.each(through)('a stop through %s closes the upstream within a second', async (_, pick) => {
  const chat_id = `silent ${_}`;
  model.behave({ kind: 'hang' });
  const message = { chat_id, text: 'half a turn', message_id: 'm-1' };
  const answer = api.handle(message);
  await vi.waitFor(() => expect(model.requests).toHaveLength(1));
  await expectStop(pick(), chat_id);

  expect(await answer).toMatchObject({ status: 409, body: { code: 'turn_cancelled' } });
  expect(await api.handle(message)).toMatchObject({
    status: 409,
    body: { code: 'turn_cancelled' },
  });
  expect(await turnsOf(chat_id)).toMatchObject([{ state: 'cancelled', reply_message_id: null }]);
  expect(await messagesOf(chat_id)).toEqual(['half a turn']);

  model.behave({ kind: 'reply' });
  expect((await api.handle({ chat_id, text: 'next' })).status).toBe(200);
  const prompt = model.requests.at(-1)?.body.messages ?? [];
  expect(prompt.slice(1)).toEqual([{ role: 'user', content: 'next' }]);
});

test.each(through)('what was written before a stop through %s is the reply', async (_, pick) => {
  const chat_id = `partial ${_}`;
  model.behave({ kind: 'hang', text: 'half an answer' });
  const { events } = await streamHandle(api, { chat_id, text: 'Hi' });
  let text = '';
  for await (const { event, data } of events) {
    if (event === 'delta') text += String(data.text);
    if (text === 'half an answer') break;
  }
  await expectStop(pick(), chat_id);
  await vi.waitFor(async () => {
    expect(await turnsOf(chat_id)).toMatchObject([
      { state: 'answered', finish_reason: 'cancelled' },
    ]);
  });
  expect(await messagesOf(chat_id)).toEqual(['Hi', 'half an answer']);

  model.behave({ kind: 'reply' });
  await api.handle({ chat_id, text: 'next' });
  expect(
    model.requests
      .at(-1)
      ?.body.messages.slice(1)
      .map(({ content }) => content),
  ).toEqual(['Hi', 'half an answer', 'next']);
});

test('a stopped stream ends with the message that was kept', async () => {
  model.behave({ kind: 'hang', text: 'half an answer' });
  const { events } = await streamHandle(api, { chat_id: 'ends', text: 'Hi' });
  const all = allEvents(events);
  await vi.waitFor(() => expect(model.requests).toHaveLength(1));
  await new Promise((resolve) => {
    setTimeout(resolve, 200);
  });
  await api.post('/v1/chat/cancel', { chat_id: 'ends' });
  expect((await all).at(-1)).toMatchObject({ event: 'message', data: { text: 'half an answer' } });
});

test('a stop ends the running turn only; the waiting one is answered', async () => {
  model.behave((_, index) => (index === 0 ? { kind: 'hang' } : { kind: 'reply' }));
  const first = api.handle({ chat_id: 'queue', text: 'first' });
  await vi.waitFor(() => expect(model.requests).toHaveLength(1));
  const second = other.handle({ chat_id: 'queue', text: 'second' });
  await vi.waitFor(async () => expect(await turnsOf('queue')).toHaveLength(2));
  expect((await api.post('/v1/chat/cancel', { chat_id: 'queue' })).body).toEqual({
    status: 'ok',
    cancelled_turns: 1,
  });
  expect((await first).status).toBe(409);
  expect(await second).toMatchObject({ status: 200, body: { text: 'echo: second' } });
});

test('where nothing runs, nothing is stopped, now or later', async () => {
  model.behave({ kind: 'reply' });
  for (const chat_id of ['nobody', 'queue']) {
    expect((await api.post('/v1/chat/cancel', { chat_id })).body).toEqual({
      status: 'ok',
      cancelled_turns: 0,
    });
  }
  expect((await api.handle({ chat_id: 'nobody', text: 'Hi' })).status).toBe(200);
});

async function expectStop(process: ApiClient, chat_id: string): Promise<void> {
  const askedAt = performance.now();
  expect((await process.post('/v1/chat/cancel', { chat_id })).body).toEqual({
    status: 'ok',
    cancelled_turns: 1,
  });
  await vi.waitFor(() => expect(model.requests.at(-1)?.closedByClient).toBe(true), 5_000);
  // Within a second; the rest is for a machine that does something else.
  expect((model.requests.at(-1)?.endedAt ?? Infinity) - askedAt).toBeLessThan(2_000);
}

async function turnsOf(chatId: string) {
  return await sql.rows('select * from turns where chat_id = $1 order by id', [chatId]);
}

async function messagesOf(chatId: string): Promise<string[]> {
  const rows = await sql.rows<{ content: string }>(
    `select content from messages m join chat_sessions s on s.id = m.session_id
      where chat_id = $1 order by m.id`,
    [chatId],
  );
  return rows.map(({ content }) => content);
}
