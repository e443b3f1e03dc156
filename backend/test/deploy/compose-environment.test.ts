import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  Environment as BotEnvironment,
  loadConfig as loadBotConfig,
} from '../../../telegram-bot/src/config.ts';
import {
  Environment as PanelEnvironment,
  loadConfig as loadPanelConfig,
} from '../../../directus/src/config.ts';
import { Environment, loadConfig } from '#src/config.ts';
import {
  environmentOf,
  everythingSet,
  interpolate,
  readCompose,
  root,
  serviceOf,
  variablesIn,
} from './compose.ts';

describe.each(['docker-compose.yml', 'docker-compose.rag.yml'])('%s', (file) => {
  const compose = readCompose(file);
  const all = Object.entries(compose.services);
  const present = everythingSet(compose);
  const given = (name: string) => environmentOf(serviceOf(compose, name), present);
  const variablesOf = (name: string) =>
    Object.keys(serviceOf(compose, name).environment).toSorted();

  describe('the environment', () => {
    /** Only `pnpm start` asks for these. */
    const ofTheStart = ['DATA_DIR', 'BOT_TOKEN', 'ADMIN_PANEL', 'ADMIN_PORT'];
    const notOfTheApi = new Set([...ofTheStart, 'WORKER_METRICS_PORT']);
    const notOfTheWorker = new Set([...ofTheStart, 'PORT', 'DESK_API_KEY']);
    const knownBut = (others: Set<string>) =>
      Object.keys(Environment.shape)
        .filter((name) => !others.has(name))
        .toSorted();

    test('of API and worker is every variable they read', () => {
      expect(variablesOf('backend')).toEqual(knownBut(notOfTheApi));
      expect(variablesOf('worker')).toEqual(knownBut(notOfTheWorker));
    });

    test('of bot and panel is every variable they read', () => {
      expect(variablesOf('telegram_bot')).toEqual(Object.keys(BotEnvironment.shape).toSorted());
      expect(variablesOf('directus')).toEqual(Object.keys(PanelEnvironment.shape).toSorted());
    });

    test('can be used, and chooses the parts that the file brings', () => {
      for (const name of ['backend', 'worker']) {
        const config = loadConfig(given(name));
        expect(config.vectors !== undefined).toBe('qdrant' in compose.services);
        expect(config.redisUrl).toContain('@redis:6379');
        expect(config.databaseUrl).toContain('@postgres:5432');
      }
      const { backend } = loadBotConfig(given('telegram_bot'));
      expect(backend).toEqual({ url: 'http://backend:8080', apiKey: 'BACKEND_API_KEY' });
      const panel = loadPanelConfig(given('directus'));
      expect(panel.backend).toEqual({ url: 'http://backend:8080', key: 'DESK_API_KEY' });
      expect(panel.admin.password).toBe('ADMIN_PASSWORD');
    });
  });

  describe('secrets', () => {
    const secret = /PASSWORD|SECRET|AUTH$|TOKEN$|API_KEY$/;
    const optional = /^(OPENROUTER|OPENAI|LLM|QDRANT|EMBEDDINGS)_API_KEY$|^WEBHOOK_SECRET$/;

    test('all come from .env, and the stack does not start without one', () => {
      const used = variablesIn(compose);
      expect(used.length).toBeGreaterThan(0);
      for (const { name, isRequired } of used) expect(isRequired, name).toBe(secret.test(name));
    });

    test.each(all)('%s has none of its own', (_, { environment, command }) => {
      for (const word of [...Object.values(environment), JSON.stringify(command)]) {
        const password = /:\/\/\w*:(.*)@|--requirepass (.*?)[\\"]/.exec(`${word ?? ''}`);
        if (password) expect(password[1] ?? password[2]).toMatch(/^\$\{\w+:\?[^}]+\}$/);
      }
      for (const [name, value] of Object.entries(environment)) {
        const isAbsent = value === null || value === '';
        if (!secret.test(name) || (isAbsent && optional.test(name))) continue;
        expect(value).toMatch(/^\$\{\w+:\?[^}]+\}$/);
      }
    });

    test('`pnpm setup` writes every one, but the token that only Telegram gives', () => {
      const written = readFileSync(path.join(root, 'backend/src/setup.ts'), 'utf8');
      for (const { name } of variablesIn(compose).filter(({ isRequired }) => isRequired)) {
        expect(written).toMatch(new RegExp(`\\b${name}[:=]`));
      }
    });

    test('a missing one is refused by its name', () => {
      const { DATABASE_URL } = serviceOf(compose, 'backend').environment;
      expect(() => interpolate(`${DATABASE_URL}`, {})).toThrow(/POSTGRES_PASSWORD .*pnpm setup/);
    });
  });
});
