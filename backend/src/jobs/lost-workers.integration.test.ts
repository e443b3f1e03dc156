import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { FakeModelBehaviour } from '#test/fake-model-response.ts';
import { mark, startMarkedModel } from '#test/marked-model.ts';
import type { MarkedModel } from '#test/marked-model.ts';
import { startRedis } from '#test/redis.ts';
import type { TestRedis } from '#test/redis.ts';
import { brokenSessions, eventually, serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';

vi.setConfig({ testTimeout: 180_000 });

const THRESHOLD = 8;
const CHATS = 8;
const WORKERS = 4;
const CHAOS_MS = 15_000;

const workerEntry = path.join(import.meta.dirname, '../worker.ts');

let redis: TestRedis;
let model: MarkedModel;
let chats: ServedChats;

beforeAll(async () => {
  redis = await startRedis();
  model = await startMarkedModel(() => Math.floor(Math.random() * 60));
  chats = await serveChats({
    REDIS_URL: redis.url,
    LLM_BASE_URL: model.url,
    LLM_MODEL: 'marked',
    LLM_TIMEOUT_MS: '5000',
    SUMMARY_THRESHOLD: String(THRESHOLD),
    SUMMARY_NEW_MESSAGES_LIMIT: '20',
    SUMMARY_MAX_TOKENS: '100000',
    CONTEXT_TOKEN_BUDGET: '1000000',
  });
});

afterAll(async () => {
  await chats.close();
  await model.close();
  await redis.stop();
});

test('workers that are killed, a queue that is lost and a model that fails lose nothing', async () => {
  model.onSummary(() => misbehaviours[Math.floor(Math.random() * 10)]);
  const crew = Array.from({ length: WORKERS }, startWorkerProcess);
  const end = Date.now() + CHAOS_MS;
  await Promise.all([
    ...Array.from({ length: CHATS }, (_, index) => converse(`c${index}`)),
    killWorkers(),
    sleep(CHAOS_MS / 2).then(() => redis.forgetAll()),
  ]);
  expect(model.violations).toEqual([]);

  // Where five tries in a row failed, the session is held back; an operator would not wait either.
  await eventually(
    async () => {
      await chats.sql(
        'update chat_sessions set summary_retry_at = null where summary_retry_at > now()',
      );
      return (await listBehind()).length === 0;
    },
    90,
    listBehind,
  );
  expect(await chats.sql(brokenSessions)).toEqual([]);
  await Promise.all(Array.from({ length: CHATS }, (_, index) => sayOnce(`c${index}`, 999_999)));
  expect(model.violations).toEqual([]);
  await Promise.all(crew.map((worker) => worker.kill('SIGTERM')));

  async function sayOnce(chat: string, index: number): Promise<void> {
    await chats.say(chat, `${mark(chat, index)} and so on`);
  }

  async function converse(chat: string): Promise<void> {
    for (let index = 0; Date.now() < end; index += 1) {
      await sayOnce(chat, index);
      await sleep(Math.random() * 100);
    }
  }

  async function killWorkers(): Promise<void> {
    while (Date.now() < end) {
      await sleep(500 + Math.random() * 1_500);
      const index = Math.floor(Math.random() * WORKERS);
      await crew[index]?.kill('SIGKILL');
      crew[index] = startWorkerProcess();
    }
  }
});

/** One call in five fails, one in ten each is answered with nothing or with garbage. */
const misbehaviours: FakeModelBehaviour[] = [
  { kind: 'status', status: 500 },
  { kind: 'close-mid-stream', text: 'The user' },
  { kind: 'empty' },
  { kind: 'reply', text: '%$#' },
];

async function listBehind(): Promise<object[]> {
  return await chats.sql('select * from chat_sessions where messages_since_summary >= $1', [
    THRESHOLD,
  ]);
}

function startWorkerProcess() {
  const worker = spawn(process.execPath, [workerEntry], {
    env: { PATH: process.env.PATH, ...chats.environment, DATABASE_URL: chats.databaseUrl },
    stdio: 'ignore',
  });
  const ended = once(worker, 'close');
  return {
    async kill(signal: NodeJS.Signals) {
      worker.kill(signal);
      await ended;
    },
  };
}
