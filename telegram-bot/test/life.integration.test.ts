import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../backend/src/local/free-port.ts';
import { TOKEN, startFakeTelegram } from './fake-telegram.ts';
import type { FakeTelegram } from './fake-telegram.ts';
import { ada, message, say } from './people.ts';
import { eventually, startBackend, startBot, untilHealthy } from './processes.ts';
import type { Running } from './processes.ts';
import { answersIn, isGrowing, setStage } from './stage.ts';
import type { Stage } from './stage.ts';

let stage: Stage;
let telegram: FakeTelegram;
const started: Running[] = [];

beforeAll(async () => {
  stage = await setStage();
  telegram = await startFakeTelegram();
});

afterEach(async () => {
  await Promise.all(started.splice(0).map((running) => running.crash()));
});

afterAll(async () => {
  await stage.close();
  await telegram.close();
});

function start(env: Record<string, string> = {}, backendUrl = stage.backendUrl): Running {
  const bot = startBot(telegram.root, backendUrl, env);
  started.push(bot);
  return bot;
}

const lines = (bot: Running) => bot.output().trim().split('\n');

test('a wrong token ends the process with one line that says so', async () => {
  const bot = start({ BOT_TOKEN: '1:wrong' });
  expect(await bot.exited).toBe(1);
  expect(lines(bot)).toEqual([expect.stringMatching(/^BOT_TOKEN: Telegram does not know/)]);
});

test('what is missing or wrong in the configuration is said by name, all at once', async () => {
  const bot = start({ BOT_TOKEN: '', TELEGRAM_DRAFTS: 'perhaps' });
  expect(await bot.exited).toBe(1);
  expect(bot.output()).toMatch(
    /BOT_TOKEN: must be set.*\n.*TELEGRAM_DRAFTS: must be true or false/,
  );
  const open = start({ WEBHOOK_URL: 'https://bot.example.com/t' });
  expect(await open.exited).toBe(1);
  expect(open.output()).toMatch(/WEBHOOK_SECRET: must be set with WEBHOOK_URL/);
});

test('a second poller is told of in one line, and waited for', async () => {
  const bot = start();
  await eventually(() => telegram.calls.some(({ method }) => method === 'getUpdates'));
  // The bot, when it asks again, is to this one what this one was to it.
  const other = await fetch(`${telegram.root}/bot${TOKEN}/getUpdates`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"timeout": 30}',
  });
  expect(other.status).toBe(409);
  say(telegram, 'still there?');
  await answersIn(telegram, ada.id);
  expect(bot.output()).toContain('Telegram can be used again.');
  expect(lines(bot).filter((line) => line.includes('another process polls'))).toHaveLength(1);
});

test('Telegram or the backend away at the start: one line each, and the message is answered', async () => {
  const user = { ...ada, id: 3_001 };
  const port = await freePort();
  telegram.trouble = () => ({ drop: 'before' });
  const bot = start({}, `http://127.0.0.1:${port}`);
  await eventually(() => bot.output().includes('Telegram cannot be used'));
  telegram.trouble = () => undefined;
  say(telegram, 'anybody there?', user);
  await eventually(() => bot.output().includes('backend at http'));
  await sleep(1_500);
  expect(telegram.queue).toHaveLength(1);
  expect(lines(bot).filter((line) => /cannot be used/.test(line))).toHaveLength(2);

  const backend = startBackend(port, stage.databaseUrl, stage.model.url);
  started.push(backend);
  const [answer] = await answersIn(telegram, user.id);
  expect(answer?.text).toBe('echo: anybody there?');
  await eventually(() => telegram.queue.length === 0);
});

test('SIGTERM lets the answers finish, and leaves nothing unconfirmed', async () => {
  const user = { ...ada, id: 3_002 };
  stage.model.behave({ kind: 'reply', text: 'a b c d e f', chunkDelayMs: 400 });
  const bot = start();
  say(telegram, 'slowly', user);
  await eventually(() => telegram.visible(user.id).some(isGrowing));
  expect(await bot.terminate()).toBe(0);
  stage.model.behave({ kind: 'reply' });
  expect(telegram.visible(user.id).map(({ text }) => text)).toEqual(['a b c d e f']);
  expect(telegram.queue).toEqual([]);
});

test('an answer that its bot left behind is brought by the next one', async () => {
  const user = { ...ada, id: 3_003 };
  stage.model.behave({ kind: 'reply', delayMs: 800 });
  const bot = start();
  say(telegram, 'hello', user);
  await eventually(() =>
    telegram.calls.some(
      ({ method, payload }) => method === 'sendChatAction' && Number(payload.chat_id) === user.id,
    ),
  );
  await eventually(() => telegram.queue.length === 0);
  await bot.crash();
  await sleep(1_000);
  start();
  const [answer] = await answersIn(telegram, user.id);
  stage.model.behave({ kind: 'reply' });
  expect(answer?.text).toBe('echo: hello');
});

test('a webhook’s call is answered 2xx only when the backend has the message', async () => {
  const user = { ...ada, id: 3_004 };
  const [port, backendPort] = [await freePort(), await freePort()];
  const secret = 'a-secret-of-the-test';
  const webhook = {
    WEBHOOK_URL: `http://127.0.0.1:${port}/hook`,
    WEBHOOK_SECRET: secret,
    WEBHOOK_PORT: String(port),
  };
  const bot = start(webhook, `http://127.0.0.1:${backendPort}`);
  await eventually(() => bot.output().includes('webhook ready'));
  expect(telegram.calls.findLast(({ method }) => method === 'setWebhook')?.payload).toMatchObject({
    url: webhook.WEBHOOK_URL,
    secret_token: secret,
  });

  const update = { update_id: 1, message: message(telegram, { text: 'hello' }, user) };
  const call = async (path: string, token: string, body: string) =>
    (
      await fetch(`http://127.0.0.1:${port}${path}`, {
        method: 'POST',
        headers: { 'x-telegram-bot-api-secret-token': token },
        body,
      })
    ).status;
  expect(await call('/hook', 'guessed', JSON.stringify(update))).toBe(401);
  expect(await call('/', secret, JSON.stringify(update))).toBe(404);
  expect(await call('/hook', secret, '{')).toBe(400);

  let status: number | undefined;
  const calls = [
    call('/hook', secret, JSON.stringify(update)),
    call('/hook', secret, JSON.stringify(update)),
  ];
  void Promise.all(calls).then(([first]) => (status = first));
  await sleep(1_000);
  expect(status).toBeUndefined();
  started.push(startBackend(backendPort, stage.databaseUrl, stage.model.url));
  await untilHealthy(`http://127.0.0.1:${backendPort}`);
  expect(await Promise.all(calls)).toEqual([200, 200]);
  await sleep(500);
  expect((await answersIn(telegram, user.id)).map(({ text }) => text)).toEqual(['echo: hello']);
  expect(await bot.terminate()).toBe(0);
  expect(bot.output()).not.toContain(secret);
});
