import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openSql, startApi } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';

type Api = Awaited<ReturnType<typeof startApi>>;

let sql: Sql;
let api: Api;
let other: Api;
let channel: string;
let channels = 0;

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  sql = openSql(databaseUrl);
  api = await startApi({ databaseUrl });
  other = await startApi({ databaseUrl });
});

beforeEach(() => {
  channel = `channel-${(channels += 1)}`;
});

afterAll(async () => {
  await Promise.all([api.close(), other.close()]);
  await sql.close();
});

const legal: Record<string, string[]> = {
  pending: ['sending', 'sent', 'failed'],
  sending: ['pending', 'sent', 'uncertain', 'failed'],
  sent: ['sent'],
  uncertain: ['pending', 'sent', 'uncertain', 'failed'],
  failed: ['pending', 'failed'],
};

test.each(Object.keys(legal).flatMap((from) => Object.keys(legal).map((to) => [from, to])))(
  'a delivery goes from %s to %s where that makes sense, else it is a conflict',
  async (from = '', to = '') => {
    const id = await reply();
    await sql.rows('update messages set delivery_state = $2 where id = $1', [id, from]);
    const answer = await mark(id, { state: to });
    const allowed = legal[from]?.includes(to) === true;
    expect(answer).toMatchObject(
      allowed
        ? { status: 200, body: { status: 'ok', message_id: id, state: to } }
        : { status: 409, body: { code: 'delivery_conflict' } },
    );
    expect(await stateOf(id)).toBe(allowed ? to : from);
  },
);

test('of many workers that want to send, one may', async () => {
  const id = await reply();
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? api : other).post(`/v1/deliveries/${id}`, { state: 'sending' }),
    ),
  );
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(answers.filter(({ status }) => status === 409)).toHaveLength(19);
});

test('what the channel says is kept', async () => {
  const id = await reply();
  await mark(id, { state: 'failed', error: 'the user blocked the bot' });
  expect(await rowOf(id)).toMatchObject({ delivery_error: 'the user blocked the bot' });
  const sent = await reply();
  await mark(sent, { state: 'sent', channel_message_id: '4711' });
  expect(await rowOf(sent)).toMatchObject({ channel_message_id: '4711', delivery_error: null });
});

test('a user’s message cannot be delivered, nor one that does not exist', async () => {
  await reply();
  const [message] = await sql.rows<{ id: string }>(
    `select max(id) as id from messages where role = 'user'`,
  );
  for (const id of [message?.id ?? '', '999999999']) {
    expect(await mark(id, { state: 'sent' })).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
  }
});

test('due messages are claimed once, oldest first, and offered again when the claim expires', async () => {
  const ids = [await reply(), await reply(), await reply()];
  expect(await claim()).toEqual([]);
  await makeDue();
  const claims = await Promise.all([claim(), claim(other), claim(), claim(other)]);
  expect(claims.flat().toSorted()).toEqual(ids.toSorted());
  expect(await claim()).toEqual([]);
  await makeDue();
  expect(await claim()).toEqual(ids);
  await mark(ids[1]!, { state: 'sent' });
  await makeDue();
  expect(await claim()).toEqual([ids[0], ids[2]]);
});

test('workers that claim at once never get the same message', async () => {
  await reply();
  for (let round = 0; round < 10; round += 1) {
    await sql.rows(
      `insert into messages (session_id, role, content, delivery_state, delivery_channel, delivery_due_at)
        select id, 'assistant', 'text', 'pending', channel, now()
        from chat_sessions, generate_series(1, 10) where channel = $1`,
      [channel],
    );
    const claims = await Promise.all(
      Array.from({ length: 8 }, (_, index) => claim(index % 2 === 0 ? api : other)),
    );
    expect(claims.flat()).toHaveLength(10);
    expect(new Set(claims.flat()).size).toBe(10);
  }
});

test('a channel gets its own messages only', async () => {
  const id = await reply();
  await makeDue();
  const { body } = await api.get('/v1/deliveries?channel=another');
  expect(body).toEqual({ deliveries: [] });
  expect(await claim()).toEqual([id]);
});

test('a long poll wakes when a message comes, and ends empty when none does', async () => {
  const startedAt = performance.now();
  const poll = api.get<{ deliveries: { message_id: string }[] }>(
    `/v1/deliveries?channel=${channel}&wait=20`,
  );
  const id = await reply();
  await makeDue();
  expect((await poll).body.deliveries).toMatchObject([{ message_id: id, author: null }]);
  expect(performance.now() - startedAt).toBeLessThan(10_000);
  expect((await api.get(`/v1/deliveries?channel=${channel}&wait=1`)).body).toEqual({
    deliveries: [],
  });
});

test('an operator’s own words go out too', async () => {
  await reply();
  await sql.rows(
    `insert into messages (session_id, role, content, author, delivery_state, delivery_channel,
        delivery_due_at)
      select id, 'assistant', 'A person here.', 'operator', 'pending', channel, now()
      from chat_sessions where channel = $1`,
    [channel],
  );
  const { body } = await api.get(`/v1/deliveries?channel=${channel}`);
  expect(body).toMatchObject({
    deliveries: [{ text: 'A person here.', author: 'operator', turn_id: null, chat_id: channel }],
  });
});

/** A new reply in this test's channel; its id. */
async function reply(): Promise<string> {
  const { body } = await api.handle({ chat_id: channel, text: 'Hi', channel });
  return body.reply_message_id;
}

async function mark(id: string, body: object) {
  return await api.post(`/v1/deliveries/${id}`, body);
}

async function claim(from: Api = api): Promise<string[]> {
  const { body } = await from.get<{ deliveries: { message_id: string }[] }>(
    `/v1/deliveries?channel=${channel}`,
  );
  return body.deliveries.map((delivery) => delivery.message_id);
}

async function makeDue(): Promise<void> {
  await sql.rows(
    `update messages set delivery_due_at = now() where delivery_channel = $1
      and delivery_due_at is not null`,
    [channel],
  );
}

async function rowOf(id: string) {
  return (await sql.rows('select * from messages where id = $1', [id]))[0];
}

async function stateOf(id: string) {
  return (await rowOf(id))?.delivery_state;
}
