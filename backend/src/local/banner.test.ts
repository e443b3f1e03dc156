import { expect, test } from 'vitest';
import { loadConfig } from '#src/config.ts';
import { banner } from './banner.ts';

const running = {
  apiUrl: 'http://127.0.0.1:8080',
  databaseFolder: '/bot/.data/postgres',
  logFile: undefined,
};

test('without any setting it says what runs on what, and what to set for the real ones', () => {
  expect(banner(loadConfig({}), running)).toBe(`
  LLM Bot Core is running. Ctrl-C stops it.

  Chat page  http://127.0.0.1:8080/
  API        http://127.0.0.1:8080/v1, described in http://127.0.0.1:8080/openapi.json
  Model      offline, quotes what it remembers; for real answers put into .env:
             OPENROUTER_API_KEY, or LLM_BASE_URL and LLM_MODEL
  Database   embedded PostgreSQL 18, its data in /bot/.data/postgres; another with DATABASE_URL
  Queue      in PostgreSQL; on Redis with REDIS_URL
  Recall     by words, in PostgreSQL
  Panel      http://127.0.0.1:8055/ in a moment, for operators
  Telegram   no bot; set BOT_TOKEN for one

`);
});

test('with real parts it names them and shows no password or key', () => {
  const config = loadConfig({
    DATABASE_URL: 'postgres://bot:hidden-1@db.example:5432/bot',
    OPENROUTER_API_KEY: 'hidden-2',
    LLM_FALLBACK_MODELS: 'other/model',
    REDIS_URL: 'redis://:hidden-3@cache.example:6379',
    QDRANT_URL: 'http://user:hidden-4@vectors.example:6333',
    QDRANT_API_KEY: 'hidden-5',
    OPENAI_API_KEY: 'hidden-6',
  });
  const text = banner(config, { ...running, databaseFolder: undefined, logFile: '/bot/api.log' });
  expect(text).toMatch(/Database +PostgreSQL at db\.example:5432\/bot$/m);
  expect(text).toMatch(/Model +google\/gemini-2\.5-flash, then other\/model at openrouter\.ai$/m);
  expect(text).toMatch(/Queue +Redis at cache\.example:6379$/m);
  expect(text).toMatch(
    /Recall +by words, and by sense: Qdrant at vectors\.example:6333, text-embedding-3-small at api\.openai\.com$/m,
  );
  expect(text).toMatch(/Log +\/bot\/api\.log/);
  expect(text).not.toContain('hidden');
});
