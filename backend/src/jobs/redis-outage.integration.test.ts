import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { mark, startMarkedModel } from '#test/marked-model.ts';
import type { MarkedModel } from '#test/marked-model.ts';
import { startRedis } from '#test/redis.ts';
import type { TestRedis } from '#test/redis.ts';
import { brokenSessions, eventually, serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';
import { openTcpGate } from '#test/tcp-gate.ts';
import type { TcpGate } from '#test/tcp-gate.ts';

vi.setConfig({ testTimeout: 60_000 });

const TURNS = 60;

let redis: TestRedis;
let gate: TcpGate;
let model: MarkedModel;
let chats: ServedChats;
let spoken = 0;

beforeAll(async () => {
  redis = await startRedis();
  gate = await openTcpGate(redis.url);
  model = await startMarkedModel();
  // It is away from the very start.
  gate.set('down');
  chats = await serveChats({
    REDIS_URL: gate.url,
    LLM_BASE_URL: model.url,
    LLM_MODEL: 'marked',
    SUMMARY_THRESHOLD: '4',
    SUMMARY_MAX_TOKENS: '100000',
    CONTEXT_TOKEN_BUDGET: '1000000',
  });
  await chats.startWorker();
});

afterAll(async () => {
  await chats.close();
  await model.close();
  gate.close();
  await redis.stop();
});

/** The median time of a turn in milliseconds; every one of them asks for a summary. */
async function converse(): Promise<number> {
  const chat = `c${spoken++}`;
  const times: number[] = [];
  for (let turn = 0; turn < TURNS; turn += 1) {
    const startedAt = performance.now();
    await chats.say(chat, `${mark(chat, turn)} and so on`);
    times.push(performance.now() - startedAt);
  }
  return times.sort((a, b) => a - b)[TURNS / 2] ?? 0;
}

async function listBehind(): Promise<object[]> {
  return await chats.sql('select * from chat_sessions where messages_since_summary >= 4');
}

test('Redis comes, hangs, goes and comes back: no turn waits for it, and nothing is lost', async () => {
  const downAtFirst = await converse();
  expect(await chats.get('/health')).toMatchObject({
    status: 'degraded',
    queue: { backend: 'redis', status: 'down', waiting: null },
    summaries: { waiting: 1 },
  });
  expect(await listBehind()).toHaveLength(1);

  gate.set('up');
  await eventually(async () => (await listBehind()).length === 0, 20, listBehind);
  expect(await chats.get('/health')).toMatchObject({ status: 'ok', queue: { status: 'ok' } });
  const up = await converse();

  gate.set('hang');
  const hanging = await converse();
  gate.set('down');
  const down = await converse();
  await redis.forgetAll();
  gate.set('up');
  await eventually(async () => (await listBehind()).length === 0, 20, listBehind);

  // As fast as before, on a machine that does other things too; waiting for Redis would take seconds.
  for (const time of [downAtFirst, hanging, down]) expect(time).toBeLessThan(up * 3 + 100);
  expect(model.violations).toEqual([]);
  expect(await chats.sql(brokenSessions)).toEqual([]);
});

test('what an outage left of a job does not keep the next one away', async () => {
  const chat = `c${spoken++}`;
  await chats.say(chat, `${mark(chat, 0)} and so on`);
  const [session] = await chats.sql<{ id: string }>(
    'select id from chat_sessions where chat_id = $1',
    [chat],
  );
  const client = new Redis(redis.url);
  await client.hset(`llm-bot-core:summaries:${session?.id}`, { name: 'summarize', data: '{}' });
  client.disconnect();
  await chats.say(chat, `${mark(chat, 1)} and so on`);
  await eventually(async () => (await listBehind()).length === 0, 10, listBehind);
});
