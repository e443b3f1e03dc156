import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { expect, test } from 'vitest';
import {
  Environment as BotEnvironment,
  loadConfig as loadBotConfig,
} from '../../telegram-bot/src/config.ts';
import {
  Environment as PanelEnvironment,
  loadConfig as loadPanelConfig,
} from '../../directus/src/config.ts';
import { ConfigError, Environment, loadConfig } from './config.ts';
import { readCompose, variablesIn } from '#test/deploy/compose.ts';

const example = parseEnv(readFileSync(new URL('../../.env.example', import.meta.url), 'utf8'));

test('.env.example lists every variable, and no other', () => {
  const inContainers = variablesIn(readCompose('docker-compose.rag.yml')).map(({ name }) => name);
  const read = Object.keys({
    ...Environment.shape,
    ...BotEnvironment.shape,
    ...PanelEnvironment.shape,
  });
  const known = new Set([...read, ...inContainers]);
  expect(Object.keys(example).toSorted()).toEqual([...known].toSorted());
});

test('README explains every variable, and no other', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const names = readme.split('\n').map((line) => /^\|((?: `[A-Z_]+`,?)+) \|/.exec(line)?.[1] ?? '');
  const explained = names.join().match(/[A-Z_]+/g) ?? [];
  expect(explained.toSorted()).toEqual(Object.keys(example).toSorted());
});

test('.env.example shows the defaults', () => {
  expect(loadConfig(example)).toEqual(loadConfig({}));
  const BOT_TOKEN = '1:token';
  expect(loadBotConfig({ ...example, BOT_TOKEN })).toEqual(loadBotConfig({ BOT_TOKEN }));
  const DATABASE_URL = 'postgres://user@host/name';
  expect(loadPanelConfig({ ...example, DATABASE_URL })).toEqual(loadPanelConfig({ DATABASE_URL }));
});

test('nothing set: embedded database, offline model, loopback', () => {
  expect(loadConfig({})).toMatchObject({
    databaseUrl: undefined,
    model: { kind: 'offline' },
    server: { host: '127.0.0.1', port: 8080, apiKeys: [] },
  });
});

test('every problem is listed at once, by variable', () => {
  const wrong = {
    PORT: 'eighty',
    DATABASE_URL: 'mysql://host/db',
    LOG_LEVEL: 'loud',
    SHORT_HISTORY_LIMIT: '0',
    LLM_TIMEOUT_MS: '1.5',
  };
  expect(() => loadConfig(wrong)).toThrow(ConfigError);
  for (const name of Object.keys(wrong)) {
    expect(() => loadConfig(wrong)).toThrow(new RegExp(`^  ${name}: must be`, 'm'));
  }
});

test('an address that others can reach needs a key', () => {
  expect(() => loadConfig({ HOST: '0.0.0.0' })).toThrow(/HOST: 0\.0\.0\.0.*API_KEY/);
  expect(() => loadConfig({ HOST: '127.0.0.1.example.com' })).toThrow(/API_KEY/);
  expect(loadConfig({ HOST: '0.0.0.0', API_KEY: 'a, b' }).server.apiKeys).toEqual(['a', 'b']);
});

test('the panel’s key is another one than those that open everything', () => {
  const keys = { API_KEY: 'a, b', DESK_API_KEY: 'b' };
  expect(() => loadConfig(keys)).toThrow(/DESK_API_KEY: must not be one of API_KEY/);
});

test.each(['127.0.0.1', '127.1.2.3', 'localhost', '::1'])('%s needs no key', (host) => {
  expect(loadConfig({ HOST: host }).server.host).toBe(host);
});

test('an OpenRouter key chooses OpenRouter, a base URL comes before it', () => {
  const openRouter = { OPENROUTER_API_KEY: 'k', LLM_FALLBACK_MODELS: 'x/y, z' };
  expect(loadConfig(openRouter).model).toMatchObject({
    baseUrl: 'https://openrouter.ai/api/v1',
    models: ['google/gemini-2.5-flash', 'x/y', 'z'],
  });
  const own = { ...openRouter, LLM_BASE_URL: 'http://127.0.0.1:11434/v1', LLM_MODEL: 'm' };
  expect(loadConfig(own).model).toMatchObject({
    baseUrl: 'http://127.0.0.1:11434/v1',
    apiKey: undefined,
    models: ['m', 'x/y', 'z'],
  });
});

test('half a model configuration says what is missing', () => {
  expect(() => loadConfig({ LLM_BASE_URL: 'http://127.0.0.1:1/v1' })).toThrow(/LLM_MODEL: must/);
  expect(() => loadConfig({ LLM_API_KEY: 'k' })).toThrow(/LLM_BASE_URL: must/);
});

test('Qdrant needs embeddings, and an embeddings server of one’s own comes before OpenAI', () => {
  const QDRANT_URL = 'http://127.0.0.1:6333';
  expect(loadConfig({}).vectors).toBeUndefined();
  expect(() => loadConfig({ QDRANT_URL })).toThrow(/QDRANT_URL: must come with embeddings/);
  expect(() => loadConfig({ EMBEDDINGS_BASE_URL: 'http://127.0.0.1:1' })).toThrow(
    /EMBEDDINGS_MODEL: must name/,
  );
  const openAi = { QDRANT_URL, OPENAI_API_KEY: 'k' };
  expect(loadConfig(openAi).vectors?.embeddings).toEqual({
    baseUrl: 'https://api.openai.com/v1',
    apiKey: 'k',
    model: 'text-embedding-3-small',
  });
  const own = { EMBEDDINGS_BASE_URL: 'http://127.0.0.1:7998', EMBEDDINGS_MODEL: 'm' };
  expect(loadConfig({ ...openAi, ...own }).vectors?.embeddings).toMatchObject({
    apiKey: undefined,
    model: 'm',
  });
  expect(loadConfig({ ...openAi, RAG_ENABLED: 'false' }).vectors).toBeUndefined();
});
