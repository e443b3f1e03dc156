import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { startRedis } from './redis.ts';

test('a real Redis of the test’s own answers, forgets, and is gone once stopped', async () => {
  const redis = await startRedis();
  const client = new Redis(redis.url, { retryStrategy: null });
  client.on('error', () => {});
  expect(await client.info('server')).toMatch(/(redis|valkey)_version:[7-9]/);
  await client.set('key', 'value');
  await redis.forgetAll();
  expect(await client.get('key')).toBeNull();
  await redis.stop();
  if (!process.env.REDIS_URL) await expect(client.ping()).rejects.toThrow();
  client.disconnect();
});
