import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { Client } from 'pg';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  expect,
  onTestFinished,
  test,
  vi,
} from 'vitest';
import { openSql, startApi } from '#test/api.ts';
import type { ApiClient, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

let model: FakeModel;
let databaseUrl: string;
let sql: Sql;
let api: (ApiClient & { close(): Promise<void> }) | undefined;

// Counted where every statement passes: at the driver.
const query = vi.spyOn(Client.prototype, 'query');

beforeAll(async () => {
  model = await startFakeModel();
});

beforeEach(async () => {
  ({ url: databaseUrl } = await createTestDatabase());
  sql = openSql(databaseUrl);
});

afterEach(async () => {
  await api?.close();
  await sql.close();
});

afterAll(async () => {
  query.mockRestore();
  await model.close();
});

async function serve(env: Record<string, string> = {}, url = databaseUrl): Promise<ApiClient> {
  api = await startApi({
    databaseUrl: url,
    modelUrl: model.url,
    env: { RAG_ENABLED: 'false', ...env },
  });
  return api;
}

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, n) => `${prefix} ${n}`);

test('turns at the same moment share their statements, and each chat gets its own reply', async () => {
  const client = await serve();
  query.mockClear();
  const chats = names('chat', 40);
  const say = (chatId: string) => client.handle({ chat_id: chatId, text: `I am ${chatId}` });
  const answers = await Promise.all(chats.map(say));
  expect(answers.map(({ body }) => body.text)).toEqual(chats.map((chat) => `echo: I am ${chat}`));
  expect(countOf('open_turns')).toBeGreaterThan(0);
  expect(countOf('store_replies')).toBeGreaterThan(0);
  const stored = await sql.rows(
    `select s.chat_id, array_agg(m.content order by m.id) as said, s.messages_since_summary as count
      from chat_sessions s join messages m on m.session_id = s.id group by s.id`,
  );
  expect(stored).toHaveLength(40);
  for (const chat of chats) {
    const said = [`I am ${chat}`, `echo: I am ${chat}`];
    expect(stored).toContainEqual({ chat_id: chat, said, count: 2 });
  }
});

test('with recall each is opened alone, so that searches run side by side', async () => {
  const client = await serve({ RAG_ENABLED: 'true' });
  query.mockClear();
  const say = (chatId: string) => client.handle({ chat_id: chatId, text: 'Hello' });
  await Promise.all(names('chat', 20).map(say));
  expect(countOf('open_turn')).toBe(20);
  expect(countOf('open_turns')).toBe(0);
  expect(countOf('store_replies')).toBeGreaterThan(0);
});

test.each([
  ['its lock', `select lock_chat('held')`],
  ['its row', `select from chat_sessions where chat_id = 'held' for update`],
])('a chat of which somebody holds %s keeps no other waiting', async (_, lock) => {
  const client = await serve();
  await client.handle({ chat_id: 'held', text: 'Hello' });
  const holder = new Client({ connectionString: databaseUrl });
  await holder.connect();
  await holder.query('begin');
  await holder.query(lock);

  const say = (chatId: string) => client.handle({ chat_id: chatId, text: 'Are you there?' });
  let isHeld = true;
  const held = Promise.all([say('held'), say('held')]).finally(() => (isHeld = false));
  const others = await Promise.all(names('other', 12).map(say));
  expect(others.map(({ status }) => status)).toEqual(others.map(() => 200));
  expect(isHeld).toBe(true);

  await holder.query('commit');
  await holder.end();
  expect((await held).map(({ status }) => status)).toEqual([200, 200]);
});

test('a turn that PostgreSQL ends because others lock in another order is answered all the same', async () => {
  const client = await serve();
  const say = () => client.handle({ chat_id: 'knot', text: 'Hello' });
  await say();
  const other = new Client({ connectionString: databaseUrl });
  await other.connect();
  // It waits for ever: the turn, which notices after a second, is the one to go.
  await other.query(`set deadlock_timeout = '1h'`);
  await other.query('begin');
  await other.query(`select from chat_sessions where chat_id = 'knot' for update`);
  const answer = say();
  await eventually(async () => {
    const waiting = `select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`;
    expect(await sql.rows(waiting)).toHaveLength(1);
  });
  await other.query(`select lock_chat('knot')`);
  await other.query('commit');
  await other.end();
  expect(await answer).toMatchObject({ status: 200, body: { text: 'echo: Hello' } });
});

test.each([
  ['in English', async () => ({ url: databaseUrl, close: () => {} })],
  ['in another language', async () => await translate(databaseUrl)],
])('who is refused %s takes nobody along', async (_, openServer) => {
  const server = await openServer();
  onTestFinished(server.close);
  const client = await serve({ RATE_LIMIT_PER_MINUTE: '1' }, server.url);
  const say = (user: string, number: number) =>
    client.handle({ chat_id: user, user_id: user, text: 'Hello', message_id: `m-${number}` });
  await say('flood', 0);
  query.mockClear();
  const [flood, ...others] = await Promise.all([
    say('flood', 1),
    ...names('user', 12).map((user) => say(user, 1)),
    say('flood', 2),
  ]);
  expect(countOf('open_turns')).toBeGreaterThan(0);
  expect(flood?.status).toBe(429);
  expect(others.map(({ status }) => status)).toEqual([...names('user', 12).map(() => 200), 429]);
  expect(await sql.rows(`select from turns where user_id = 'flood'`)).toHaveLength(1);
});

function countOf(name: string): number {
  const sent = query.mock.calls.map(([statement]: unknown[]) => Object(statement).name);
  return sent.filter((each) => each === name).length;
}

/** The same server, as lc_messages = 'cs_CZ' makes it speak of errors; in Czech they are as long. */
async function translate(target: string): Promise<{ url: string; close(): void }> {
  const { hostname, port } = new URL(target);
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.pipe(upstream);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy()).on('end', () => client.end());
    upstream.on('data', (data) => {
      const message = data.toString('latin1').replaceAll('SERROR\0', 'SCHYBA\0');
      client.write(message, 'latin1');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const url = Object.assign(new URL(target), { hostname: '127.0.0.1', port: address.port }).href;
  return { url, close: () => server.close() };
}
