import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createTestDatabase } from '../../backend/test/database.ts';
import { startFakeModel } from '../../backend/test/fake-model.ts';
import type { FakeModel } from '../../backend/test/fake-model.ts';
import { startFakeTelegram } from './fake-telegram.ts';
import type { FakeTelegram } from './fake-telegram.ts';
import { ada, say } from './people.ts';
import { eventually, freePort, startBackend, startBot, untilHealthy } from './processes.ts';
import type { Running } from './processes.ts';

let database: { url: string; drop(): Promise<void> };
let model: FakeModel;
let backend: Running;
let backendUrl: string;
let telegram: FakeTelegram;
let bot: Running;

beforeAll(async () => {
  database = await createTestDatabase();
  model = await startFakeModel();
  const port = await freePort();
  backendUrl = `http://127.0.0.1:${port}`;
  backend = startBackend(port, database.url, model.url);
  await untilHealthy(backendUrl);
});

afterAll(async () => {
  await backend.crash();
  await model.close();
  await database.drop();
});

beforeEach(async () => {
  model.behave({ kind: 'reply' });
  telegram = await startFakeTelegram();
  bot = startBot(telegram.root, backendUrl);
});

afterEach(async () => {
  await bot.crash();
  await telegram.close();
});

test('a message is answered', async () => {
  say(telegram, 'good morning');
  await eventually(() => telegram.visible(ada.id).length > 0).catch(() => {});
  expect(
    telegram.visible(ada.id).map((m) => m.text),
    bot.output() + backend.output() + JSON.stringify(telegram.calls),
  ).toEqual(['echo: good morning']);
});
