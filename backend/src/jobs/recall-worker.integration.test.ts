import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { loadConfig } from '#src/config.ts';
import { createLogger } from '#src/logger.ts';
import { serveWorker } from '#src/serve-worker.ts';
import { eventually } from '#test/eventually.ts';
import { startRedis } from '#test/redis.ts';
import type { TestRedis } from '#test/redis.ts';
import { agreed, compare, openVectorWorld } from '#test/vector-world.ts';
import type { VectorWorld } from '#test/vector-world.ts';

vi.setConfig({ testTimeout: 180_000 });

let world: VectorWorld;
let redis: TestRedis;

beforeAll(async () => {
  world = await openVectorWorld();
  redis = await startRedis();
});

afterAll(async () => {
  await world.close();
  await redis.stop();
});

const startWorker = (env: Record<string, string>) =>
  serveWorker(loadConfig(env), world.databaseUrl, createLogger('silent'));

const isFound = (chatId: string, query: string, fact: string, byWords = false) =>
  eventually(async () => {
    const found = await world.found(chatId, query, byWords ? null : world.openSearch());
    expect(found).toEqual([fact]);
  });

test('in PostgreSQL’s queue, without vectors: what is said is indexed within seconds', async () => {
  const worker = await startWorker({ SUMMARY_MODE: 'off' });
  await world.tell('words', ['The spare tyre is in the shed']);
  await isFound('words', 'Where is the spare tyre?', 'The spare tyre is in the shed', true);
  await worker.close();
});

test('what was said while recall was off is found soon after it is turned on', async () => {
  await world.tell('off', ['The spare bulb is in the attic']);
  await world.sql.rows('delete from unentered_messages');
  const worker = await startWorker({ SUMMARY_MODE: 'off' });
  await isFound('off', 'Where is the spare bulb?', 'The spare bulb is in the attic', true);
  await worker.close();
});

test('in PostgreSQL’s queue, with vectors: also what was indexed without them', async () => {
  const worker = await startWorker(world.env);
  await world.tell('sense', ['The beagle is asleep']);
  await isFound('sense', 'How is my pet?', 'The beagle is asleep');
  await eventually(async () => expect(await compare(world.openIndex())).toEqual(agreed));
  await worker.close();
});

test('on Redis, several workers, and a queue that is lost', async () => {
  const env = { ...world.env, REDIS_URL: redis.url };
  const workers = await Promise.all([startWorker(env), startWorker(env)]);
  await world.tell('redis', ['We flew on a vacation']);
  await isFound('redis', 'Which journey?', 'We flew on a vacation');
  await redis.forgetAll();
  await world.tell('lost', ['My income is fine']);
  await isFound('lost', 'How is the salary?', 'My income is fine');
  await Promise.all(workers.map((worker) => worker.close()));
});

test('while the services of the vectors are down, words are indexed all the same', async () => {
  world.store.isDown = true;
  world.embeddings.failure = 'hang';
  const worker = await startWorker(world.env);
  await world.tell('down', ['The key is under the flowerpot']);
  await isFound('down', 'Where is the key?', 'The key is under the flowerpot', true);
  world.store.isDown = false;
  world.embeddings.failure = undefined;
  await eventually(async () => expect(await compare(world.openIndex())).toEqual(agreed), 90_000);
  await worker.close();
});
