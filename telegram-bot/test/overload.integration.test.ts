import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FakeTelegram } from './fake-telegram.ts';
import { ada, say } from './people.ts';
import { eventually, startWorker } from './processes.ts';
import type { Running } from './processes.ts';
import { answersIn, setStage } from './stage.ts';
import type { Stage } from './stage.ts';

let stage: Stage;
let telegram: FakeTelegram;
let bot: Running;
let worker: Running;

beforeAll(async () => {
  const env = { LOG_LEVEL: 'info', SUMMARY_THRESHOLD: '2' };
  stage = await setStage({ ...env, MAX_CONCURRENT_TURNS: '1' });
  worker = startWorker(stage.databaseUrl, env);
  ({ telegram, bot } = await stage.startBot());
});

afterAll(async () => {
  await worker.crash();
  await stage.close();
});

test('a backend that has too much to do is left alone as long as it asks, and nothing is lost', async () => {
  const people = [4_001, 4_002, 4_003].map((id) => ({ ...ada, id }));
  const hold = Promise.withResolvers<void>();
  stage.model.behave(async () => {
    await hold.promise;
    return { kind: 'reply' };
  });
  for (const person of people) say(telegram, `from ${person.id}`, person);
  const refused = () => linesOf(stage.backend).filter(({ code }) => code === 'overloaded');
  await eventually(() => refused().length >= 4, { withinMs: 30_000 });
  // One turn was taken; the others are still Telegram's, and their people are told nothing.
  expect(telegram.queue.length).toBeGreaterThanOrEqual(2);
  expect(people.flatMap(({ id }) => telegram.visible(id))).toEqual([]);
  const times = refused().map(({ time }) => Date.parse(String(time)));
  const [first = 0, last = 0] = [times[0], times.at(-1)];
  // Two chats ask again after a second or more each.
  expect(times.length).toBeLessThanOrEqual(2 + (2 * (last - first)) / 1_000);

  hold.resolve();
  for (const { id } of people) {
    expect((await answersIn(telegram, id)).map(({ text }) => text)).toEqual([`echo: from ${id}`]);
  }
  await eventually(() => telegram.queue.length === 0);
  expect(bot.output()).not.toMatch(/cannot be used/);
});

test('one request id goes from the bot through the backend into the job', async () => {
  const person = { ...ada, id: 4_010 };
  say(telegram, 'hello', person);
  await answersIn(telegram, person.id);
  const sent = await eventually(() => find(bot, 'answer sent', { chat_id: String(person.id) }));
  const requestId = sent['request_id'];
  expect(requestId).toMatch(/^[0-9a-f-]{36}$/);
  const answered = await eventually(() =>
    find(stage.backend, 'request', { request_id: requestId, finish_reason: 'stop' }),
  );
  const written = await eventually(() =>
    find(worker, 'summary written', { request_id: requestId }),
  );
  expect(written['session_id']).toBe(answered['session_id']);
});

type Line = Record<string, unknown>;

function linesOf(running: Running): Line[] {
  return running
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line): Line => JSON.parse(line));
}

function find(process: Running, msg: string, fields: Line): Line | undefined {
  return linesOf(process).find(
    (line) =>
      line['msg'] === msg && Object.entries(fields).every(([name, value]) => line[name] === value),
  );
}
