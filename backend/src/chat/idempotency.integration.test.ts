import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openSql, spawnApi, startApi } from '#test/api.ts';
import type { ApiClient, ApiProcess, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

let model: FakeModel;
let sql: Sql;
let api: Awaited<ReturnType<typeof startApi>>;
let other: ApiProcess;

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  model = await startFakeModel();
  sql = openSql(databaseUrl);
  api = await startApi({ databaseUrl, modelUrl: model.url });
  other = await spawnApi({ databaseUrl, modelUrl: model.url });
});

afterAll(async () => {
  other.kill('SIGKILL');
  await api.close();
  await sql.close();
  await model.close();
});

beforeEach(() => {
  model.behave({ kind: 'reply' });
});

test('50 calls at once with one message id are one turn', async () => {
  await expectOneTurn('parallel', 'm-1', () => api);
});

test('50 calls at once through two processes are one turn', async () => {
  await expectOneTurn('across', 'm-1', (index) => (index % 2 === 0 ? api : other));
});

async function expectOneTurn(
  chat_id: string,
  message_id: string,
  pick: (index: number) => ApiClient,
) {
  model.behave({ kind: 'reply', text: `the one answer of ${chat_id}`, delayMs: 300 });
  const before = model.requests.length;
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      pick(index).handle({ chat_id, text: 'Hi', message_id }),
    ),
  );

  expect(model.requests.length - before).toBe(1);
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(answers.filter(({ body }) => !body.replayed)).toHaveLength(1);
  const first = { ...answers[0]?.body, replayed: 'differs' };
  for (const { body } of answers) expect({ ...body, replayed: 'differs' }).toEqual(first);
  expect(await messagesOf(chat_id)).toEqual([
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: `the one answer of ${chat_id}` },
  ]);
  expect(await countTurns(chat_id)).toBe(1);
}

test('a repeat with another text or user is refused, and changes nothing', async () => {
  const first = { chat_id: 'mismatch', text: 'Hi', message_id: 'm-1', user_id: 'ada' };
  expect(await api.handle(first)).toMatchObject({ status: 200 });
  const before = model.requests.length;
  for (const change of [
    { text: 'Hi!' },
    { user_id: 'eve' },
    { user_id: 'ada\u0001', text: 'Hi' },
  ]) {
    expect(await api.handle({ ...first, ...change })).toMatchObject({
      status: 422,
      body: { code: 'idempotency_mismatch' },
    });
  }
  expect(model.requests).toHaveLength(before);
  expect(await messagesOf('mismatch')).toHaveLength(2);
});

test('a message id counts within its chat only', async () => {
  const one = await api.handle({ chat_id: 'id-one', text: 'Hi', message_id: 'same' });
  const two = await api.handle({ chat_id: 'id-two', text: 'Ho', message_id: 'same' });
  expect(two.body).toMatchObject({ text: 'echo: Ho', replayed: false });
  expect(two.body.turn_id).not.toBe(one.body.turn_id);
});

test('without a message id the same words are two turns', async () => {
  await api.handle({ chat_id: 'no-id', text: 'Hi' });
  await api.handle({ chat_id: 'no-id', text: 'Hi' });
  expect(await countTurns('no-id')).toBe(2);
  expect(await messagesOf('no-id')).toHaveLength(4);
});

test('after a failure the same id tries again and stores no second user message', async () => {
  const message = { chat_id: 'retry', text: 'Hi', message_id: 'm-1' };
  model.behave({ kind: 'status', status: 400 });
  expect(await api.handle(message)).toMatchObject({ status: 502, body: { code: 'model_failed' } });
  expect(await api.handle(message)).toMatchObject({ status: 502 });
  model.behave({ kind: 'reply' });

  const answered = await api.handle(message);
  expect(answered).toMatchObject({ status: 200, body: { text: 'echo: Hi', replayed: false } });
  expect(await api.handle(message)).toMatchObject({
    status: 200,
    body: { ...answered.body, replayed: true },
  });
  expect(await messagesOf('retry')).toHaveLength(2);
  expect(await countTurns('retry')).toBe(1);
});

test('a repeat that waits gets the failure of the turn, from either process, and calls no model', async () => {
  const message = { chat_id: 'shared-failure', text: 'Hi', message_id: 'm-1' };
  const before = model.requests.length;
  const fail = Promise.withResolvers<void>();
  model.behave(async () => {
    await fail.promise;
    return { kind: 'status', status: 400 };
  });
  const first = api.handle(message);
  await eventually(() => expect(model.requests.length).toBe(before + 1));
  const repeats = [api.handle(message), other.handle(message)];
  await someTime();
  fail.resolve();

  for (const answer of await Promise.all([first, ...repeats])) {
    expect(answer).toMatchObject({ status: 502, body: { code: 'model_failed' } });
  }
  expect(model.requests.length).toBe(before + 1);
});

test('a repeat while the first waits for its place waits too', async () => {
  const release = Promise.withResolvers<void>();
  model.behave(async () => {
    await release.promise;
    return { kind: 'reply' };
  });
  const before = model.requests.length;
  const ahead = api.handle({ chat_id: 'queue', text: 'ahead' });
  await eventually(() => expect(model.requests.length).toBe(before + 1));
  const message = { chat_id: 'queue', text: 'behind', message_id: 'm-2' };
  const behind = [api, other, api].map((process) => process.handle(message));
  await eventually(async () => expect(await countTurns('queue')).toBe(2));
  await someTime();
  release.resolve();

  expect((await ahead).body.text).toBe('echo: ahead');
  const answers = await Promise.all(behind);
  expect(new Set(answers.map(({ body }) => body.reply_message_id)).size).toBe(1);
  expect(answers.filter(({ body }) => !body.replayed)).toHaveLength(1);
  expect(model.requests.length).toBe(before + 2);
});

test('a replay after a reset gives the old reply and opens no session', async () => {
  const message = { chat_id: 'reset', text: 'Hi', message_id: 'm-1' };
  const { body } = await api.handle(message);
  await api.post('/v1/chat/reset', { chat_id: 'reset' });
  expect((await other.handle(message)).body).toEqual({ ...body, replayed: true });
  expect(await sql.rows(`select is_active from chat_sessions where chat_id = 'reset'`)).toEqual([
    { is_active: false },
  ]);
});

test('a replay tells the delivery state, and that the reply was deleted', async () => {
  const message = { chat_id: 'delivered', text: 'Hi', message_id: 'm-1' };
  const { body } = await api.handle(message);
  await api.post(`/v1/deliveries/${body.reply_message_id}`, { state: 'sent' });
  expect((await api.handle(message)).body).toEqual({ ...body, replayed: true, delivery: 'sent' });

  await sql.rows('delete from messages where id = $1', [body.reply_message_id]);
  expect(await api.handle(message)).toMatchObject({ status: 410, body: { code: 'reply_deleted' } });
});

test('a failed message that is tried again while a new conversation begins is answered, and so is the new one', async () => {
  for (let round = 0; round < 12; round += 1) {
    const chat_id = `old-and-new-${round}`;
    const old = { chat_id, text: 'old', message_id: 'm-1' };
    model.behave({ kind: 'status', status: 400 });
    await api.handle(old);
    await api.post('/v1/chat/reset', { chat_id });
    model.behave({ kind: 'reply' });
    const answers = await Promise.all([
      api.handle(old),
      other.handle({ chat_id, text: 'new' }),
      api.handle({ chat_id, text: 'newer' }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  }
});

async function messagesOf(chatId: string) {
  return await sql.rows<{ role: string; content: string }>(
    `select role, content from messages m join chat_sessions s on s.id = m.session_id
      where chat_id = $1 order by m.id`,
    [chatId],
  );
}

async function countTurns(chatId: string): Promise<number> {
  return (await sql.rows('select from turns where chat_id = $1', [chatId])).length;
}

/** Long enough for a call to arrive; nothing depends on it being exact. */
async function someTime(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, 300);
  });
}
