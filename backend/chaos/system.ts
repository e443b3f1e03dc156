import { migrateToLatest } from '#src/db/migrate.ts';
import { startPostgres } from '#test/postgres-server.ts';
import type { PostgresServer } from '#test/postgres-server.ts';
import { startFakeEmbeddings } from '#test/fake-embeddings.ts';
import type { FakeEmbeddings } from '#test/fake-embeddings.ts';
import { startRedis } from '#test/redis.ts';
import type { TestRedis } from '#test/redis.ts';
import { openTcpGate } from '#test/tcp-gate.ts';
import type { TcpGate } from '#test/tcp-gate.ts';
import { startVectorStore } from '#test/vector-store.ts';
import type { TestVectorStore } from '#test/vector-store.ts';
import { startFakeTelegram, TOKEN } from '../../telegram-bot/test/fake-telegram.ts';
import type { FakeTelegram } from '../../telegram-bot/test/fake-telegram.ts';
import { fixedPort } from './fixed-port.ts';
import type { History } from './history.ts';
import { dropCollections } from './stored-vectors.ts';
import { startChaosModel } from './model.ts';
import type { ChaosModel } from './model.ts';
import { memorySettings } from './plan.ts';
import { plantMistake } from './plants.ts';
import type { Plan } from './plan.ts';
import { randomOf } from './random.ts';
import { startUnit } from './unit.ts';
import type { Unit } from './unit.ts';

/** The whole product as real processes, on real servers; only the model and Telegram are fakes. */
export interface System {
  postgres: PostgresServer;
  redis: TestRedis;
  vectors: TestVectorStore;
  embeddings: FakeEmbeddings;
  model: ChaosModel;
  telegram: FakeTelegram;
  units: Unit[];
  /** A gate between each two that talk with each other, by its name. */
  gates: Map<string, TcpGate>;
  /** The two APIs as callers reach them. */
  apiUrls: string[];
  close(): Promise<void>;
}

const durable = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' };

/** What is opened is closed in reverse, also where a later part does not start. */
export async function startSystem(plan: Plan, history: History): Promise<System> {
  await using opened = new AsyncDisposableStack();
  const postgres = opened.adopt(await startPostgres(durable), (server) => server.stop());
  await migrateToLatest(postgres.url);
  await plantMistake(postgres.url, plan.plant);
  const redis = opened.adopt(await startRedis(), (server) => server.stop());
  const vectors = opened.adopt(await startVectorStore(), (store) => store.close());
  opened.defer(() => dropCollections(postgres.url, vectors.url));
  const embeddings = opened.adopt(await startFakeEmbeddings(), (fake) => fake.close());
  const telegram = opened.adopt(await startFakeTelegram(), (fake) => fake.close());
  telegram.confirmEarly = plan.plant === 'early-confirmation';
  const model = opened.adopt(await startChaosModel(randomOf(plan.seed, 'model'), history), (fake) =>
    fake.close(),
  );

  const gates = new Map<string, TcpGate>();
  const gate = async (name: string, target: string): Promise<string> => {
    const between = opened.adopt(await openTcpGate(target), (each) => each.close());
    gates.set(name, between);
    return between.url.replace(/\/$/, '');
  };
  const units: Unit[] = [];
  const unit = (name: string, file: string, env: Record<string, string>) =>
    void units.push(opened.adopt(startUnit(name, file, env), (each) => each.stop()));

  const shared = {
    ...memoryEnvironment(plan.seed),
    REDIS_URL: await gate('redis', redis.url),
    LLM_BASE_URL: await gate('model', model.url),
    QDRANT_URL: await gate('vector store', vectors.url),
    EMBEDDINGS_BASE_URL: await gate('embeddings', embeddings.url),
    EMBEDDINGS_MODEL: `chaos/${plan.seed}-${process.pid}`,
  };
  const apiUrls: string[] = [];
  for (const number of [1, 2]) {
    const port = await fixedPort();
    apiUrls.push(await gate(`api-${number}`, `http://127.0.0.1:${port}`));
    for (const [name, file, PORT] of [
      [`api-${number}`, 'backend/src/api.ts', port],
      [`worker-${number}`, 'backend/src/worker.ts', 0],
    ] as const) {
      const DATABASE_URL = await gate(`postgres of ${name}`, postgres.url);
      unit(name, file, { ...shared, DATABASE_URL, PORT: String(PORT) });
    }
  }
  unit('bot', 'telegram-bot/src/main.ts', {
    BOT_TOKEN: TOKEN,
    TELEGRAM_API_ROOT: await gate('telegram', telegram.root),
    BACKEND_URL: apiUrls[0] ?? '',
    LOG_LEVEL: 'debug',
  });
  const closing = opened.move();
  const close = () => closing.disposeAsync();
  return { postgres, redis, vectors, embeddings, model, telegram, units, gates, apiUrls, close };
}

/** No budget cuts a prompt short here, and a summary lists all that was said. */
function memoryEnvironment(seed: number): Record<string, string> {
  const { historyLimit, threshold, newMessagesLimit } = memorySettings(seed);
  return {
    LLM_MODEL: 'chaos',
    LLM_TIMEOUT_MS: '4000',
    SHORT_HISTORY_LIMIT: String(historyLimit),
    SUMMARY_THRESHOLD: String(threshold),
    SUMMARY_NEW_MESSAGES_LIMIT: String(newMessagesLimit),
    SUMMARY_MAX_TOKENS: '100000',
    CONTEXT_TOKEN_BUDGET: '1000000',
    SUMMARY_SWEEP_SECONDS: '2',
    LOG_LEVEL: 'info',
  };
}
