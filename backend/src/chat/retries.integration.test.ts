import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openSql, startApi } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

let model: FakeModel;
let sql: Sql;
let api: Awaited<ReturnType<typeof startApi>>;

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  model = await startFakeModel();
  sql = openSql(databaseUrl);
  api = await startApi({ databaseUrl, modelUrl: model.url });
});

afterEach(() => {
  model.behave({ kind: 'reply' });
});

afterAll(async () => {
  await api.close();
  await sql.close();
  await model.close();
});

const retryTurn = (id: string) => api.post(`/v1/turns/${id}/retry`, {});
const retryDelivery = (id: string) => api.post(`/v1/deliveries/${id}/retry`, {});

test('a failed turn is answered after all, and its reply goes to the outbox', async () => {
  const chat = 'retried';
  const message = { chat_id: chat, channel: chat, text: 'one', message_id: 'm-1' };
  const turnId = await fail(message);
  await api.handle({ chat_id: chat, text: 'two' });
  expect(await retryTurn(turnId)).toMatchObject({ status: 202, body: { status: 'queued' } });
  await eventually(async () => {
    const { body } = await api.get(`/v1/deliveries?channel=${chat}`);
    expect(body).toMatchObject({ deliveries: [{ turn_id: turnId, text: 'echo: one' }] });
  });
  expect((await api.handle(message)).body).toMatchObject({ text: 'echo: one', replayed: true });
  const contents = await sql.rows<{ content: string }>(
    `select content from messages m join chat_sessions s on s.id = m.session_id
      where chat_id = $1 order by m.id`,
    [chat],
  );
  expect(contents.map(({ content }) => content)).toEqual(['two', 'echo: two', 'one', 'echo: one']);
});

test('a retry that fails again says why, and can be made again', async () => {
  const turnId = await fail({ chat_id: 'twice', text: 'one' });
  model.behave({ kind: 'empty' });
  await retryTurn(turnId);
  await eventually(async () => {
    expect((await api.get(`/v1/turns/${turnId}/context`)).body).toMatchObject({
      state: 'failed',
      attempts: 2,
      error: { code: 'model_failed' },
    });
  });
  expect((await retryTurn(turnId)).status).toBe(202);
});

test('only a failed turn is retried, and none of a chat that an operator holds', async () => {
  const answered = (await api.handle({ chat_id: 'answered', text: 'Hi' })).body.turn_id;
  expect(await retryTurn(answered)).toMatchObject({
    status: 409,
    body: { code: 'turn_not_failed', detail: expect.stringContaining('answered') },
  });
  expect(await retryTurn('999999')).toMatchObject({ status: 404, body: { code: 'not_found' } });

  const deleted = await fail({ chat_id: 'deleted', text: 'Hi' });
  await sql.rows(
    'delete from messages where id = (select user_message_id from turns where id = $1)',
    [deleted],
  );
  expect(await retryTurn(deleted)).toMatchObject({
    status: 409,
    body: { detail: expect.stringContaining('deleted') },
  });

  const held = await fail({ chat_id: 'held', text: 'Hi' });
  await api.post('/v1/chats/held/takeover', {});
  expect(await retryTurn(held)).toMatchObject({
    status: 409,
    body: { detail: expect.stringContaining('hand it back') },
  });
  await api.post('/v1/chats/held/handback', {});
  expect((await retryTurn(held)).status).toBe(202);
});

test.each(['uncertain', 'failed'])('a delivery that is %s is offered again', async (state) => {
  const channel = `delivery ${state}`;
  const { body } = await api.handle({ chat_id: channel, channel, text: 'Hi' });
  const id = body.reply_message_id;
  await api.post(`/v1/deliveries/${id}`, { state: 'sending' });
  await api.post(`/v1/deliveries/${id}`, { state, error: 'the network was away' });
  expect(await retryDelivery(id)).toMatchObject({
    status: 200,
    body: { status: 'ok', message_id: id, state: 'pending' },
  });
  const offered = await api.get(`/v1/deliveries?channel=${encodeURIComponent(channel)}`);
  expect(offered.body).toMatchObject({ deliveries: [{ message_id: id, state: 'pending' }] });
  expect(await sql.rows('select delivery_error from messages where id = $1', [id])).toEqual([
    { delivery_error: null },
  ]);
});

test('a delivery that is under way or done is left alone', async () => {
  const { body } = await api.handle({ chat_id: 'under way', text: 'Hi' });
  const id = body.reply_message_id;
  for (const state of ['pending', 'sending', 'sent']) {
    await sql.rows('update messages set delivery_state = $2 where id = $1', [id, state]);
    expect(await retryDelivery(id)).toMatchObject({
      status: 409,
      body: { code: 'delivery_conflict', detail: expect.stringContaining(state) },
    });
  }
  expect(await retryDelivery('999999')).toMatchObject({ status: 404 });
});

test('memories that could not be indexed are indexed again', async () => {
  const index = async () => {
    // In two steps, passages and words; a worker would do both.
    await sql.rows('select index_memories(1000, false) from generate_series(1, 2)');
    return await sql.rows(
      `select e.state, e.error from embeddings e join chat_sessions s on s.id = e.session_id
        where chat_id = 'index'`,
    );
  };
  const indexed = { state: 'indexed', error: null };
  const failed = { state: 'failed', error: 'no luck' };
  await api.handle({ chat_id: 'index', text: 'The quokka sings.' });
  expect(await index()).toEqual([indexed, indexed]);
  await sql.rows(
    `update embeddings set state = 'failed', error = 'no luck'
      where session_id = (select id from chat_sessions where chat_id = 'index')`,
  );
  expect(await index()).toEqual([failed, failed]);
  expect(await api.post('/v1/memories/retry', {})).toMatchObject({ body: { retried: 2 } });
  expect(await index()).toEqual([indexed, indexed]);
  expect(await api.post('/v1/memories/retry', {})).toMatchObject({ body: { retried: 0 } });
});

/** A turn whose model failed; its id. */
async function fail(message: { chat_id: string; text: string }): Promise<string> {
  model.behave({ kind: 'status', status: 400 });
  expect((await api.handle(message)).status).toBe(502);
  model.behave({ kind: 'reply' });
  const [turn] = await sql.rows<{ id: string }>(
    'select max(id) as id from turns where chat_id = $1',
    [message.chat_id],
  );
  return turn?.id ?? '';
}
