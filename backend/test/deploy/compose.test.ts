import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
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
  commandOf,
  environmentOf,
  interpolate,
  readCompose,
  root,
  variablesIn,
} from './compose.ts';
import type { Service } from './compose.ts';
import { readDockerfile } from './image.ts';

const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const manifest = JSON.parse(read('package.json'));
const { nodeVersion } = parse(read('pnpm-workspace.yaml'));
/** Without them a reply comes all the same, by the words of its question alone. */
const recallBySense = new Set(['qdrant', 'bge_embeddings']);
const dockerfileOf = ({ build }: Service) => (build ? readDockerfile(build.dockerfile) : []);
const instructionOf = (of: Service, name: string) =>
  dockerfileOf(of).findLast(({ instruction }) => instruction === name)?.rest;

describe.each(['docker-compose.yml', 'docker-compose.rag.yml'])('%s', (file) => {
  const compose = readCompose(file);
  const all = Object.entries(compose.services);

  function service(name: string): Service {
    const found = compose.services[name];
    if (found === undefined) throw new Error(`there is no service ${name}`);
    return found;
  }

  /** An `.env` that has everything. */
  const present = {
    ...Object.fromEntries(variablesIn(compose).map(({ name }) => [name, name])),
    BOT_TOKEN: '1:token',
  };
  const variablesOf = (name: string) => Object.keys(service(name).environment).toSorted();

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
        const config = loadConfig(environmentOf(service(name), present));
        expect(config.vectors !== undefined).toBe('qdrant' in compose.services);
        expect(config.redisUrl).toContain('@redis:6379');
        expect(config.databaseUrl).toContain('@postgres:5432');
      }
      const { backend } = loadBotConfig(environmentOf(service('telegram_bot'), present));
      expect(backend).toEqual({ url: 'http://backend:8080', apiKey: 'BACKEND_API_KEY' });
      const panel = loadPanelConfig(environmentOf(service('directus'), present));
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
      const written = read('backend/src/setup.ts');
      for (const { name } of variablesIn(compose).filter(({ isRequired }) => isRequired)) {
        expect(written).toMatch(new RegExp(`\\b${name}[:=]`));
      }
    });

    test('a missing one is refused by its name', () => {
      const { DATABASE_URL } = service('backend').environment;
      expect(() => interpolate(`${DATABASE_URL}`, {})).toThrow(/POSTGRES_PASSWORD .*pnpm setup/);
    });
  });

  describe('every service', () => {
    test.each(all)('%s is hardened, bounded and comes back', (_, one) => {
      expect(one).toMatchObject({
        restart: 'unless-stopped',
        init: true,
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '5' } },
      });
      expect(one.mem_limit).toMatch(/^\d+[mg]$/);
      expect(one.pids_limit).toBeGreaterThan(0);
      expect(one.user ?? instructionOf(one, 'USER')).toMatch(/^(?!root|0)\w+$/);
    });

    test.each(all)('%s is pinned', (_, one) => {
      const bases = dockerfileOf(one).filter(({ instruction }) => instruction === 'FROM');
      const names = [one.image, ...bases.map(({ rest }) => rest.split(' ')[0])];
      const given = names.filter((name) => name !== undefined);
      expect(given).not.toEqual([]);
      for (const name of given) expect(name).toMatch(/:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$/);
    });

    test.each(all)('%s runs a file that exists', (_, one) => {
      if (one.build === undefined) return expect(one.image).toBeDefined();
      const given = commandOf(one, present);
      const command = given.length > 0 ? given : JSON.parse(instructionOf(one, 'CMD') ?? '[]');
      expect(command[0]).toBe('node');
      expect(command.at(-1)).toMatch(/^[\w-]+\/src\/[\w-]+\.ts$/);
      expect(existsSync(path.join(root, command.at(-1))), command.at(-1)).toBe(true);
    });

    test.each(all)('%s keeps what its program writes, and nothing else', (name, one) => {
      const places = one.volumes.map((volume) => volume.split(':'));
      for (const [volume = '', target = ''] of places) {
        expect(compose.volumes).toHaveProperty([volume]);
        const told = [...Object.values(one.environment), ...commandOf(one, present)];
        const written = told.filter((value) => `${value}/`.startsWith(`${target}/`));
        expect(written, `${name} is told to write below ${target}`).not.toEqual([]);
      }
    });

    test.each(all)('%s waits for the health of what it needs', (_, one) => {
      for (const [other, { condition }] of Object.entries(one.depends_on)) {
        expect(condition).toBe('service_healthy');
        expect(service(other).healthcheck).toBeDefined();
        const common = service(other).networks.filter((network) => one.networks.includes(network));
        expect(common).not.toEqual([]);
      }
      const values = Object.values(one.environment).join(' ');
      const called = [...values.matchAll(/(?:@|\/\/)([a-z_]+):\d+/g)].map(([, host = '']) => host);
      const needed = new Set(called).difference(recallBySense);
      expect(new Set(Object.keys(one.depends_on))).toEqual(needed);
    });
  });

  test('the databases can be reached by the parts alone that need them', () => {
    expect(compose.networks).toMatchObject({ data: { internal: true } });
    for (const name of ['postgres', 'redis', 'qdrant']) {
      if (name in compose.services)
        expect(service(name)).toMatchObject({ ports: [], networks: ['data'] });
    }
    expect(service('telegram_bot').networks).not.toContain('data');
  });

  test('what is published is published on this machine alone', () => {
    const published = all.flatMap(([name, { ports }]) => ports.map((port) => [name, port]));
    expect(published.map(([name, port]) => `${name} ${interpolate(`${port}`, {})}`)).toEqual([
      'backend 127.0.0.1:8080:8080',
      'telegram_bot 127.0.0.1:8081:8081',
      'directus 127.0.0.1:8055:8055',
    ]);
  });

  test('the images have the Node, the pnpm and the PostgreSQL of the project', () => {
    const postgresMajor = /^postgres:(\d+)/.exec(service('postgres').image ?? '')?.[1];
    const steps = all.flatMap(([, one]) => dockerfileOf(one));
    const those = (name: string) => steps.filter(({ instruction }) => instruction === name);
    for (const { rest } of those('FROM')) expect(rest).toMatch(`node:${nodeVersion}-`);
    for (const { rest } of those('RUN')) {
      const tools = `apk add --no-cache postgresql${postgresMajor}-client`;
      if (rest === tools || rest.startsWith('mkdir ')) continue;
      expect(rest).toMatch(`npx -y ${manifest.packageManager} install `);
    }
  });
});
