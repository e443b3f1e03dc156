import { expect, test } from 'vitest';
import { loadConfig } from '#src/config.ts';
import { banner } from './banner.ts';

const running = {
  apiUrl: 'http://127.0.0.1:8080',
  databaseFolder: '/bot/.data/postgres',
  dataFolder: '/bot/.data',
  logFile: undefined,
};

test('without any setting it says what runs embedded and what to set instead', () => {
  const text = banner(loadConfig({}), running);
  expect(text).toMatch(/API +http:\/\/127\.0\.0\.1:8080/);
  expect(text).toMatch(/Database +embedded PostgreSQL 18 in \/bot\/\.data\/postgres.*DATABASE_URL/);
  expect(text).toMatch(/Model +offline.*OPENROUTER_API_KEY.*LLM_BASE_URL/);
  expect(text).toMatch(/Queue +in PostgreSQL.*REDIS_URL/);
  expect(text).toMatch(/Data folder +\/bot\/\.data /);
  expect(text).not.toContain('Log ');
});

test('with real parts it names them and shows no password or key', () => {
  const config = loadConfig({
    DATABASE_URL: 'postgres://bot:hidden-1@db.example:5432/bot',
    OPENROUTER_API_KEY: 'hidden-2',
    LLM_FALLBACK_MODELS: 'other/model',
    REDIS_URL: 'redis://:hidden-3@cache.example:6379',
  });
  const text = banner(config, { ...running, databaseFolder: undefined, logFile: '/bot/api.log' });
  expect(text).toMatch(/Database +PostgreSQL at db\.example:5432\/bot$/m);
  expect(text).toMatch(/Model +google\/gemini-2\.5-flash, then other\/model at openrouter\.ai$/m);
  expect(text).toMatch(/Queue +Redis at cache\.example:6379$/m);
  expect(text).toMatch(/Log +\/bot\/api\.log/);
  expect(text).not.toContain('hidden');
});
