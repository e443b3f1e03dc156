import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openSql, spawnApi, startApi } from '#test/api.ts';
import type { ApiClient, ApiProcess, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel, FakeModelRequest } from '#test/fake-model.ts';

let databaseUrl: string;
let model: FakeModel;
let sql: Sql;
let spawned: ApiProcess[] = [];

beforeAll(async () => {
  ({ url: databaseUrl } = await createTestDatabase());
  model = await startFakeModel();
  sql = openSql(databaseUrl);
});

beforeEach(() => {
  model.requests.length = 0;
  model.behave({ kind: 'reply' });
});

afterEach(async () => {
  for (const api of spawned) api.kill('SIGKILL');
  await Promise.all(spawned.map((api) => api.exited));
  spawned = [];
});

afterAll(async () => {
  await sql.close();
  await model.close();
});

test('20 chats with 20 messages each, at once through two processes, each take their turns in order', async () => {
  model.behave({ kind: 'reply', delayMs: 5 });
  const apis = await Promise.all([spawn(), spawn()]);
  const chats = Array.from({ length: 20 }, (_, chat) => `busy-${chat}`);
  const calls = chats.flatMap((chat_id, chat) =>
    Array.from({ length: 20 }, (_, index) =>
      apis[(chat + index) % 2]!.handle({ chat_id, text: `${chat_id} message ${index}` }),
    ),
  );
  const answers = await Promise.all(calls);

  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  expect(model.requests).toHaveLength(400);
  for (const chatId of chats) {
    await expectStrictTurns(chatId, 20);
    expectNoOverlap(
      model.requests.filter((request) => lastWords(request).startsWith(`${chatId} `)),
    );
  }
}, 90_000);

test('waiting turns hold no database connection', async () => {
  const api = await spawn();
  const release = holdFirstAnswer();
  const held = Array.from({ length: 100 }, (_, index) =>
    api.handle({ chat_id: 'held', text: `held ${index}` }),
  );
  await eventually(async () => expect(await countTurns('held')).toBe(100));

  const others = await Promise.all(
    Array.from({ length: 20 }, (_, index) => api.handle({ chat_id: `free-${index}`, text: 'Hi' })),
  );
  expect(others.map(({ status }) => status)).toEqual(others.map(() => 200));
  const [connections] = await sql.rows<{ waiting: number }>(
    `select count(*)::integer as waiting from pg_stat_activity
      where datname = current_database() and application_name = 'llm-bot-core' and state <> 'idle'`,
  );
  expect(connections?.waiting).toBeLessThanOrEqual(2);

  release();
  await Promise.all(held);
  await expectStrictTurns('held', 100);
}, 60_000);

test('turns of a process that was killed are taken over in order, and their replies wait in the outbox', async () => {
  const [doomed, survivor] = await Promise.all([spawn(), spawn()]);
  model.behave((_, index) => (index === 0 ? { kind: 'hang' } : { kind: 'reply' }));
  const lost = await sendInOrder(doomed, 'killed', ['first', 'second', 'third']);
  doomed.kill('SIGKILL');
  expect(await Promise.allSettled(lost)).toMatchObject(lost.map(() => ({ status: 'rejected' })));
  await expireLeases('killed');

  expect(await survivor.handle({ chat_id: 'killed', text: 'fourth' })).toMatchObject({
    status: 200,
    body: { text: 'echo: fourth' },
  });
  await expectStrictTurns('killed', 4);
  expect(await deliveriesOf(survivor, 'killed', 3)).toEqual([
    'echo: first',
    'echo: second',
    'echo: third',
  ]);
}, 60_000);

test('a process that was paused while another took its turn over stores no second reply', async () => {
  const [paused, other] = await Promise.all([spawn(), spawn()]);
  const release = Promise.withResolvers<void>();
  model.behave(async (_, index) => {
    if (index > 0) return { kind: 'reply', text: 'from the one who took over' };
    await release.promise;
    return { kind: 'reply', text: 'from the one who was paused' };
  });
  const first = paused.handle({ chat_id: 'paused', text: 'Hi', message_id: 'm-1' });
  await eventually(() => expect(model.requests).toHaveLength(1));
  paused.kill('SIGSTOP');
  await expireLeases('paused');
  const second = await other.handle({ chat_id: 'paused', text: 'Hi', message_id: 'm-1' });
  release.resolve();
  paused.kill('SIGCONT');

  expect(second.body).toMatchObject({ text: 'from the one who took over' });
  const { status, body } = await first;
  expect({ status, ...body, replayed: '' }).toEqual({ status: 200, ...second.body, replayed: '' });
  await expectStrictTurns('paused', 1);
}, 60_000);

test('a late attempt stores nothing, waits for the one that took over, and takes over where that one dies too', async () => {
  const api = await startApi({ databaseUrl, modelUrl: model.url });
  model.behave((_, index) => (index === 0 ? { kind: 'hang' } : { kind: 'reply' }));
  const answer = api.handle({ chat_id: 'fenced', text: 'Hi' });
  await eventually(() => expect(model.requests).toHaveLength(1));
  await sql.rows(
    `update turns set attempts = attempts + 1, lease_expires_at = now() + interval '1 hour'
      where chat_id = 'fenced'`,
  );
  await eventually(() => expect(model.requests[0]?.closedByClient).toBe(true));
  await expireLeases('fenced');

  expect(await answer).toMatchObject({ status: 200, body: { text: 'echo: Hi' } });
  await expectStrictTurns('fenced', 1);
  await api.close();
}, 60_000);

test('an older message that failed is tried again while others wait, and all are answered', async () => {
  const apis = await Promise.all([spawn(), spawn()]);
  const failed = { chat_id: 'mixed', text: 'failed', message_id: 'm-1' };
  model.behave({ kind: 'status', status: 400 });
  expect((await apis[0].handle(failed)).status).toBe(502);
  model.behave({ kind: 'reply', delayMs: 30 });
  const answers = await Promise.all([
    ...apis.map((api, index) => api.handle({ chat_id: 'mixed', text: `before ${index}` })),
    ...apis.map((api) => api.handle(failed)),
    ...apis.map((api, index) => api.handle({ chat_id: 'mixed', text: `after ${index}` })),
  ]);
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  await expectAlternation('mixed', 5);
  expectNoOverlap(model.requests.slice(1));
}, 60_000);

test('a message that failed often does not block its chat when its process dies while it waits', async () => {
  const [doomed, survivor] = await Promise.all([spawn(), spawn()]);
  const failed = { chat_id: 'stubborn', text: 'failed', message_id: 'm-1' };
  model.behave({ kind: 'status', status: 400 });
  for (let attempt = 0; attempt < 6; attempt += 1) await doomed.handle(failed);
  model.behave({ kind: 'hang' });
  const lost = await sendInOrder(doomed, 'stubborn', ['answering']);
  lost.push(doomed.handle(failed));
  await eventually(async () => expect(await countTurns('stubborn', 'received')).toBe(1));
  doomed.kill('SIGKILL');
  await Promise.allSettled(lost);
  model.behave({ kind: 'reply' });
  await expireLeases('stubborn');

  const next = await survivor.handle({ chat_id: 'stubborn', text: 'next' });
  expect(next).toMatchObject({ status: 200, body: { text: 'echo: next' } });
  await expectAlternation('stubborn', 3);
}, 60_000);

test('on SIGTERM a running turn finishes, a waiting one is refused and kept, and the process ends with 0', async () => {
  const api = await spawn();
  const release = holdFirstAnswer();
  const [running, waiting] = await sendInOrder(api, 'drained', ['running', 'waiting']);
  await eventually(() => expect(model.requests).toHaveLength(1));
  api.kill('SIGTERM');

  expect(await waiting).toMatchObject({ status: 503, body: { code: 'shutting_down' } });
  const late = await api.handle({ chat_id: 'drained', text: 'late' }).then(
    ({ body }) => body.code,
    () => 'connection refused',
  );
  expect(['connection refused', 'shutting_down']).toContain(late);
  release();
  expect(await running).toMatchObject({ status: 200, body: { text: 'echo: running' } });
  expect(await api.exited).toBe(0);

  const next = await spawn();
  await eventually(async () => expect(await countTurns('drained', 'answered')).toBe(2));
  expect(await deliveriesOf(next, 'drained', 1)).toEqual(['echo: waiting']);
  await expectStrictTurns('drained', 2);
}, 60_000);

async function spawn(): Promise<ApiProcess> {
  const api = await spawnApi({ databaseUrl, modelUrl: model.url });
  spawned.push(api);
  return api;
}

/** From now on the first answer waits until the returned function is called; the others come at once. */
function holdFirstAnswer(): () => void {
  const release = Promise.withResolvers<void>();
  model.behave(async (_, index) => {
    if (index === 0) await release.promise;
    return { kind: 'reply' };
  });
  return release.resolve;
}

/** Sends each text once the one before it is stored. */
async function sendInOrder(api: ApiClient, chat_id: string, texts: string[]) {
  const sent = [];
  const before = await countTurns(chat_id);
  for (const text of texts) {
    const call = api.handle({ chat_id, text, channel: chat_id });
    call.catch(() => {});
    sent.push(call);
    await eventually(async () => expect(await countTurns(chat_id)).toBe(before + sent.length));
  }
  return sent;
}

async function expireLeases(chatId: string): Promise<void> {
  await sql.rows(
    `update turns set lease_expires_at = now() - interval '1 second'
      where chat_id = $1 and lease_expires_at is not null`,
    [chatId],
  );
}

async function countTurns(chatId: string, state?: string): Promise<number> {
  const turns = await sql.rows(
    'select from turns where chat_id = $1 and state = coalesce($2, state)',
    [chatId, state],
  );
  return turns.length;
}

async function messagesOf(chatId: string) {
  return await sql.rows<{ id: string; role: string; content: string }>(
    `select m.id, role, content from messages m join chat_sessions s on s.id = m.session_id
      where chat_id = $1 order by m.id`,
    [chatId],
  );
}

/** Question and answer alternate, and each answer belongs to the question before it. */
async function expectAlternation(chatId: string, turns: number): Promise<void> {
  const messages = await messagesOf(chatId);
  expect(messages.map(({ role }) => role)).toEqual(
    messages.map((_, index) => (index % 2 === 0 ? 'user' : 'assistant')),
  );
  const rows = await sql.rows<{ user_message_id: string; reply_message_id: string }>(
    'select user_message_id, reply_message_id from turns where chat_id = $1 order by user_message_id',
    [chatId],
  );
  expect(rows).toHaveLength(turns);
  expect(rows.flatMap((turn) => [turn.user_message_id, turn.reply_message_id])).toEqual(
    messages.map(({ id }) => id),
  );
}

/** Alternation, and the turns are answered in the order in which they arrived. */
async function expectStrictTurns(chatId: string, turns: number): Promise<void> {
  await expectAlternation(chatId, turns);
  const rows = await sql.rows<{ arrival: string; answer: string }>(
    `select row_number() over (order by id) as arrival,
        row_number() over (order by user_message_id) as answer from turns where chat_id = $1`,
    [chatId],
  );
  for (const { arrival, answer } of rows) expect(answer).toBe(arrival);
}

function expectNoOverlap(requests: FakeModelRequest[]): void {
  const inOrder = requests.toSorted((a, b) => a.startedAt - b.startedAt);
  for (const [index, request] of inOrder.entries()) {
    const next = inOrder[index + 1]?.startedAt ?? Infinity;
    expect(request.endedAt).toBeLessThanOrEqual(next);
  }
}

function lastWords({ body }: FakeModelRequest): string {
  return body.messages.at(-1)?.content ?? '';
}

/** Takes `count` messages out of a channel's outbox. */
async function deliveriesOf(api: ApiClient, channel: string, count: number): Promise<string[]> {
  const texts: string[] = [];
  while (texts.length < count) {
    const { body } = await api.get<{ deliveries: { message_id: string; text: string }[] }>(
      `/v1/deliveries?channel=${channel}&wait=10`,
    );
    if (body.deliveries.length === 0) break;
    texts.push(...body.deliveries.map(({ text }) => text));
  }
  return texts;
}
