import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from './config.ts';
import { createLogger } from './logger.ts';
import { createRegistry } from './metrics.ts';
import { serveWorker } from './serve-worker.ts';
import { serveWorkerMetrics } from './serve-worker-metrics.ts';
import { clientOf } from '#test/api.ts';
import { eventually } from '#test/eventually.ts';
import { readMetrics } from '#test/metrics.ts';
import { startWorker } from '../../telegram-bot/test/processes.ts';
import { serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';

const environment = {
  SUMMARY_THRESHOLD: '2',
  SUMMARY_SWEEP_SECONDS: '1',
  WORKER_METRICS_PORT: '0',
};
const logger = createLogger('silent');

let chats: ServedChats;

beforeAll(async () => {
  chats = await serveChats(environment);
});

afterAll(async () => await chats.close());

test('a worker shows what it did, on a port of its own, to those who have a key', async () => {
  const config = loadConfig({ ...environment, API_KEY: 'k' });
  const registry = createRegistry();
  const worker = await serveWorker(config, chats.databaseUrl, logger, registry);
  const shown = await serveWorkerMetrics(config, registry, logger);
  const client = clientOf(shown?.url ?? '');
  await chats.say('a chat', 'My name is Ada.');
  await eventually(async () => {
    const { value } = await readMetrics(client, { authorization: 'Bearer k' });
    expect(value('llmbot_jobs_total{job="summarize",outcome="completed"}')).toBe(1);
    expect(value('llmbot_jobs_total{job="sweep",outcome="completed"}')).toBeGreaterThan(0);
    expect(value('llmbot_job_duration_seconds_count{job="summarize"}')).toBe(1);
  });
  expect((await client.get('/metrics')).status).toBe(401);
  expect((await client.get('/v1/deliveries')).status).toBe(401);
  shown?.close();
  await worker.close();
});

test('without a port it shows nothing', async () => {
  expect(await serveWorkerMetrics(loadConfig({}), createRegistry(), logger)).toBeUndefined();
});

test('where there is nothing to do it says so, and waits', async () => {
  const worker = startWorker(chats.databaseUrl, {
    SUMMARY_MODE: 'off',
    RAG_ENABLED: 'false',
    WORKER_METRICS_PORT: '0',
  });
  await eventually(() =>
    expect(worker.output()).toContain('worker has nothing to do: SUMMARY_MODE is off'),
  );
  expect(worker.child.exitCode).toBeNull();
  expect(await worker.terminate()).toBe(0);
});
