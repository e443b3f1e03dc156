import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startApi } from '#test/api.ts';
import type { ApiClient } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

const run = promisify(execFile);

let model: FakeModel;
let database: { url: string; drop(): Promise<void> };
let sql: Client;
let api: (ApiClient & { close(): Promise<void> }) | undefined;

beforeAll(async () => {
  model = await startFakeModel();
});

beforeEach(async () => {
  database = await createTestDatabase();
  sql = new Client({ connectionString: database.url });
  await sql.connect();
  model.behave({ kind: 'reply', text: 'ok', usage: { prompt_tokens: 60, completion_tokens: 40 } });
});

afterEach(async () => {
  await api?.close();
  api = undefined;
  await sql.end();
  await database.drop();
});

afterAll(() => model.close());

async function serve(env: Record<string, string>): Promise<ApiClient> {
  api = await startApi({ databaseUrl: database.url, modelUrl: model.url, env });
  return api;
}

/** Nothing of a refused message may remain. */
async function storedRows(): Promise<number> {
  const { rows } = await sql.query(
    `select (select count(*) from chat_sessions) + (select count(*) from turns)
      + (select count(*) from messages) as n`,
  );
  return Number(rows[0].n);
}

test('a blocked user is refused in every mode, until unblocked', async () => {
  const client = await serve({});
  await sql.query(`insert into users (id, access) values ('mallory', 'blocked')`);
  const refused = await client.handle({ chat_id: 'c', user_id: 'mallory', text: 'hi' });
  expect(refused).toMatchObject({ status: 403, body: { code: 'access_denied' } });
  expect(refused.body).not.toHaveProperty('pairing_code');
  expect(await storedRows()).toBe(0);
  await sql.query(`update users set access = 'unknown'`);
  expect((await client.handle({ chat_id: 'c', user_id: 'mallory', text: 'hi' })).status).toBe(200);
});

test('allowlist: the listed users and chats, and whom an operator approved', async () => {
  const client = await serve({ ACCESS: 'allowlist', ALLOWED_USERS: 'ada', ALLOWED_CHATS: 'team' });
  const say = async (user: string, chat: string) =>
    (await client.handle({ chat_id: chat, user_id: user, text: 'hi' })).status;
  expect(await say('ada', 'anywhere')).toBe(200);
  expect(await say('bob', 'team')).toBe(200);
  expect(await say('bob', 'anywhere-else')).toBe(403);
  await sql.query(`insert into users (id, access) values ('bob', 'approved')`);
  expect(await say('bob', 'anywhere-else')).toBe(200);
});

test('pairing: a stranger gets one code, and speaks once it is approved', async () => {
  const client = await serve({ ACCESS: 'pairing' });
  const ask = () => client.handle({ chat_id: 'c', user_id: 'eve', text: 'hi', message_id: 'm' });
  const first = await ask();
  expect(first).toMatchObject({ status: 403, body: { code: 'access_denied' } });
  const code = Reflect.get(first.body, 'pairing_code');
  expect(code).toMatch(/^[2-9A-HJ-NP-Z]{10}$/);
  const codes = await Promise.all(Array.from({ length: 10 }, ask));
  expect(new Set(codes.map(({ body }) => Reflect.get(body, 'pairing_code')))).toEqual(
    new Set([code]),
  );
  expect(await storedRows()).toBe(0);

  const wrong = await client.post('/v1/access/approve', { pairing_code: 'WRONG' });
  expect(wrong).toMatchObject({ status: 404, body: { code: 'not_found' } });
  const approved = await client.post('/v1/access/approve', { pairing_code: code });
  expect(approved).toMatchObject({ status: 200, body: { user_id: 'eve' } });
  expect((await ask()).status).toBe(200);
  const again = await client.post('/v1/access/approve', { pairing_code: code });
  expect(again.status).toBe(404);
});

test('pnpm access:approve lets in through the running API, and says what is wrong', async () => {
  const client = await serve({ ACCESS: 'pairing' });
  const refused = await client.handle({ chat_id: 'c', user_id: 'eve', text: 'hi' });
  const code = String(Reflect.get(refused.body, 'pairing_code'));
  const approve = async (...args: string[]) =>
    await run(process.execPath, ['backend/src/access-approve.ts', ...args], {
      env: { PORT: new URL(client.url).port },
    });
  expect((await approve(code.toLowerCase())).stdout).toBe('User eve may speak now.\n');
  expect((await client.handle({ chat_id: 'c', user_id: 'eve', text: 'hi' })).status).toBe(200);
  await expect(approve(code)).rejects.toMatchObject({
    code: 1,
    stderr: `Nobody waits for approval with the code ${code}.\n`,
  });
  await expect(approve()).rejects.toMatchObject({ stderr: 'Usage: pnpm access:approve CODE\n' });
});

test('the rate of one user is limited over all chats, and a repeat does not count', async () => {
  const client = await serve({ RATE_LIMIT_PER_MINUTE: '3' });
  const say = (id: string, user = 'ada') =>
    client.handle({ chat_id: `chat ${id}`, user_id: user, text: 'hi', message_id: id });
  const answers = await Promise.all(['1', '2', '3', '4', '5'].map((id) => say(id)));
  const accepted = answers.filter(({ status }) => status === 200);
  expect(accepted).toHaveLength(3);
  const refused = answers.find(({ status }) => status === 429);
  expect(refused?.body.code).toBe('rate_limited');
  expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);

  const repeated = ['1', '2', '3', '4', '5'].filter((_, index) => answers[index]?.status === 200);
  for (const id of repeated) expect((await say(id)).body.replayed).toBe(true);
  expect((await say('6', 'bob')).status).toBe(200);

  await sql.query(`update rates set counted_at = counted_at - interval '21 seconds'`);
  expect((await say('7')).status).toBe(200);
  await sql.query(`insert into users (id, rate_limit_per_minute) values ('ada', 0)`);
  expect((await say('8')).status).toBe(200);
});

test('the rate of one chat is limited, whoever writes', async () => {
  const client = await serve({ CHAT_RATE_LIMIT_PER_MINUTE: '2', RATE_LIMIT_PER_MINUTE: '10' });
  const say = async (user: string, chat: string) =>
    (await client.handle({ chat_id: chat, user_id: user, text: 'hi' })).status;
  expect([await say('ada', 'team'), await say('bob', 'team')]).toEqual([200, 200]);
  expect([await say('eve', 'team'), await say('eve', 'other')]).toEqual([429, 200]);
  // What was refused for the chat does not count for the user.
  const { rows } = await sql.query(
    `select floor(allowance) as left from rates where subject = 'user:eve'`,
  );
  expect(rows[0].left).toBe(9);
});

test('200 messages at once at the last unit of a budget overspend by nothing', async () => {
  const client = await serve({ DAILY_TOKEN_BUDGET: '10000', LLM_MAX_TOKENS: '40' });
  const say = (chat: string) => client.handle({ chat_id: chat, user_id: 'ada', text: 'hi' });
  expect((await say('first')).status).toBe(200);
  expect(await used('ada')).toBe(100);

  // Room for one more turn, not for two, whatever a turn reserves here.
  const reserved = await reservation();
  await sql.query(`update users set tokens_used = 10000 - $1`, [reserved * 2 - 1]);
  const before = await used('ada');
  const calls = model.requests.length;
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) => say(`chat ${index}`)),
  );
  const accepted = answers.filter(({ status }) => status === 200).length;
  expect(model.requests.length - calls).toBe(accepted);
  // What a turn really used goes back, so more than one may fit, one after the other; never too many.
  expect(accepted).toBeGreaterThanOrEqual(1);
  expect(await used('ada')).toBe(before + accepted * 100);
  expect(await used('ada')).toBeLessThanOrEqual(10_000);
  expect(answers.filter(({ status }) => status !== 200).every(isBudgetProblem)).toBe(true);
});

test('one chat: waiting messages are refused when their turn comes, and kept', async () => {
  const client = await serve({ DAILY_TOKEN_BUDGET: '10000', LLM_MAX_TOKENS: '40' });
  await client.handle({ chat_id: 'c', user_id: 'ada', text: 'hi' });
  const reserved = await reservation();
  await sql.query(`update users set tokens_used = 10000 - $1`, [reserved + 60]);
  const answers = await Promise.all(
    Array.from({ length: 5 }, (_, index) =>
      client.handle({ chat_id: 'c', user_id: 'ada', text: 'more', message_id: String(index) }),
    ),
  );
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThanOrEqual(1);
  expect(refused.every(isBudgetProblem)).toBe(true);
  expect(await used('ada')).toBeLessThanOrEqual(10_000);

  await sql.query(`update users set tokens_used = 0`);
  for (const [index, { status }] of answers.entries()) {
    if (status !== 429) continue;
    const retry = { chat_id: 'c', user_id: 'ada', text: 'more', message_id: String(index) };
    expect((await client.handle(retry)).status).toBe(200);
  }
});

test('the budget counts anew each day, and an operator may set a user’s own', async () => {
  const client = await serve({ DAILY_TOKEN_BUDGET: '1000', LLM_MAX_TOKENS: '40' });
  const say = async () =>
    (await client.handle({ chat_id: 'c', user_id: 'ada', text: 'hi' })).status;
  expect(await say()).toBe(200);
  await sql.query(`update users set tokens_used = 1000`);
  expect(await say()).toBe(429);
  await sql.query(`update users set usage_day = usage_day - 1`);
  expect(await say()).toBe(200);
  await sql.query(`update users set daily_token_budget = 1, tokens_used = 0`);
  expect(await say()).toBe(429);
  await sql.query(`update users set daily_token_budget = 0`);
  expect(await say()).toBe(200);
});

async function used(userId: string): Promise<number> {
  const { rows } = await sql.query(`select tokens_used from users where id = $1`, [userId]);
  return rows[0].tokens_used;
}

/** What the chat's first turn reserved: every other first turn reserves the same. */
async function reservation(): Promise<number> {
  const { rows } = await sql.query(`select tokens_reserved from turns order by id limit 1`);
  expect(rows[0].tokens_reserved).toBeGreaterThan(40);
  return rows[0].tokens_reserved;
}

function isBudgetProblem({
  body,
  headers,
}: {
  body: { code?: string };
  headers: Headers;
}): boolean {
  return body.code === 'budget_exhausted' && Number(headers.get('retry-after')) > 0;
}
