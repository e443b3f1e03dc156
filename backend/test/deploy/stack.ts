import { chmod, copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { freePort } from '#src/local/free-port.ts';
import { startFakeTelegram, TOKEN } from '../../../telegram-bot/test/fake-telegram.ts';
import type { FakeTelegram } from '../../../telegram-bot/test/fake-telegram.ts';
import { runProgram } from '#src/local/run-program.ts';
import { openSql } from '../api.ts';
import { eventually } from '../eventually.ts';
import { startMarkedModel } from '../marked-model.ts';
import type { MarkedModel } from '../marked-model.ts';
import { startPostgres } from '../postgres-server.ts';
import { spawnRedis } from '../redis.ts';
import { commandOf, environmentOf, readCompose, root, serviceOf } from './compose.ts';
import { buildByHand } from './image.ts';
import type { Stage } from './image.ts';
import { runInImage } from './run-image.ts';
import type { RunningImage } from './run-image.ts';

/** The services of docker-compose.yml on this machine, each in an image made by hand. */
export interface Stack {
  images: Stage[];
  /** What the owner has in `.env`. */
  env: Record<string, string | undefined>;
  /** Of the stack's database and queue. */
  urls: { postgres: string; redis: string };
  model: MarkedModel;
  telegram: FakeTelegram;
  /** Where a service can be reached. */
  urlOf(name: string): string;
  /** Starts a service and resolves once it has said so. */
  start(name: string, says: string): Promise<void>;
  /** The exit code of a service's health check. */
  health(name: string): Promise<number | null>;
  /** SIGTERM to a service; resolves with its exit code. */
  terminate(name: string): Promise<number | null>;
  close(): Promise<void>;
}

/** Each service's own port; the containers' are this machine's too. */
const portVariables: Record<string, string> = {
  backend: 'PORT',
  worker: 'WORKER_METRICS_PORT',
  telegram_bot: 'WEBHOOK_PORT',
  directus: 'ADMIN_PORT',
};

/** Builds these images, and starts what is none of ours: PostgreSQL, Redis, the model and Telegram. */
export async function setStack(dockerfiles: string[]): Promise<Stack> {
  const compose = readCompose('docker-compose.yml');
  const service = (wanted: string) => serviceOf(compose, wanted);
  const folder = await mkdtemp(path.join(tmpdir(), 'llm-bot-core-stack-'));
  await chmod(folder, 0o755);
  // The images' user may not be able to reach the project's own.
  const node = path.join(folder, 'node');
  await copyFile(process.execPath, node);
  const images = await Promise.all(
    dockerfiles.map((file) => buildByHand(file, path.join(folder, path.dirname(file)))),
  );
  const model = await startMarkedModel();
  const telegram = await startFakeTelegram();
  await runProgram(process.execPath, [path.join(root, 'backend/src/setup.ts')], { cwd: folder });
  const env = {
    ...parseEnv(await readFile(path.join(folder, '.env'), 'utf8')),
    BOT_TOKEN: TOKEN,
    TELEGRAM_API_ROOT: telegram.root,
    LLM_BASE_URL: model.url,
    LLM_MODEL: 'fake',
    SUMMARY_THRESHOLD: '4',
    RAG_ENABLED: 'false',
  };
  const postgres = await startPostgres();
  const given = environmentOf(service('postgres'), env);
  const sql = openSql(postgres.url);
  const name = given.POSTGRES_USER;
  await sql.rows(`create role ${name} superuser login password '${given.POSTGRES_PASSWORD}'`);
  await sql.rows(`create database ${name} owner ${name}`);
  await sql.close();
  const [, ...settings] = commandOf(service('redis'), env);
  const redis = await spawnRedis(
    settings.map((word) => (word === '/data' ? folder : word)),
    environmentOf(service('redis'), env).REDISCLI_AUTH,
  );
  const ports: Record<string, string> = {};
  for (const known of Object.keys(portVariables)) ports[known] = `${await freePort()}`;
  const running = new Map<string, RunningImage>();

  /** What the container would find, with the places of this machine. */
  function environmentHere(wanted: string, image: Stage): Record<string, string> {
    const places: [string, string][] = [
      ['@postgres:5432', `@127.0.0.1:${new URL(postgres.url).port}`],
      ['@redis:6379', `@127.0.0.1:${new URL(redis.url).port}`],
      ['//backend:8080', `//127.0.0.1:${ports.backend}`],
      ['0.0.0.0', '127.0.0.1'],
      ['/app/', `${image.workdir}/`],
    ];
    const found = environmentOf(service(wanted), env);
    for (const [key, value] of Object.entries(found)) {
      const place = places.find(([container]) => value.includes(container));
      if (place !== undefined) found[key] = value.replace(...place);
    }
    return { ...found, [portVariables[wanted] ?? '']: ports[wanted] ?? '' };
  }

  function run(wanted: string, command: string[]): RunningImage {
    const image = images[dockerfiles.indexOf(service(wanted).build?.dockerfile ?? '')];
    if (image === undefined) throw new Error(`${wanted} was not built`);
    const words = command.length > 0 ? command : image.cmd;
    return runInImage(image, words, environmentHere(wanted, image), node);
  }

  return {
    images,
    env,
    urls: { postgres: postgres.url.replace(/\/postgres$/, `/${name}`), redis: redis.url },
    model,
    telegram,
    urlOf: (wanted) => `http://127.0.0.1:${ports[wanted]}`,
    async start(wanted, says) {
      const started = run(wanted, commandOf(service(wanted), env));
      running.set(wanted, started);
      let isOver = false;
      void started.exited.then(() => (isOver = true));
      await eventually(() => {
        if (!isOver && !started.output().includes(says)) throw new Error(started.output());
      }, 240_000);
      if (isOver) throw new Error(`${wanted} has ended: ${started.output()}`);
    },
    health: (wanted) => run(wanted, (service(wanted).healthcheck?.test ?? []).slice(1)).exited,
    terminate: async (wanted) => (await running.get(wanted)?.terminate()) ?? null,
    async close() {
      await Promise.all([...running.values()].map((command) => command.terminate()));
      await Promise.all([telegram.close(), model.close(), redis.stop(), postgres.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
