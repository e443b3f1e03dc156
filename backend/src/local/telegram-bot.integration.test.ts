import { createServer } from 'node:http';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createLogger } from '../logger.ts';
import { eventually } from '#test/eventually.ts';
import { startTelegramBot } from './telegram-bot.ts';

/** As much of Telegram as a bot needs to begin; it has no news. */
const asked: string[] = [];
const telegram = createServer((req, res) => {
  const method = req.url?.split('/').at(-1) ?? '';
  asked.push(method);
  const bot = { id: 1, is_bot: true, first_name: 'Memo', username: 'memo_bot' };
  const result = method === 'getMe' ? bot : method === 'getUpdates' ? [] : true;
  const body = JSON.stringify({ ok: true, result });
  setTimeout(() => res.setHeader('content-type', 'application/json').end(body), 20);
});

beforeEach(async () => {
  asked.length = 0;
  telegram.listen(0, '127.0.0.1');
  await once(telegram, 'listening');
  const address = telegram.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  vi.stubEnv('TELEGRAM_API_ROOT', `http://127.0.0.1:${port}`);
  vi.stubEnv('LOG_LEVEL', 'silent');
});

afterEach(() => {
  vi.unstubAllEnvs();
  telegram.closeAllConnections();
  telegram.close();
});

test('the bot runs against the API, and is gone when it is closed', async () => {
  vi.stubEnv('BOT_TOKEN', '1:token');
  const api = { url: 'http://127.0.0.1:9', key: undefined };
  const bot = startTelegramBot(api, { logFile: undefined, logger: createLogger('silent') });
  await eventually(() => expect(asked).toContain('getUpdates'));
  await bot.close();
  const before = asked.length;
  await new Promise((resolve) => {
    setTimeout(resolve, 300);
  });
  expect(asked.length).toBe(before);
});

test('a bot that cannot start ends by itself, and that is logged', async () => {
  vi.stubEnv('BOT_TOKEN', 'no token');
  const lines: string[] = [];
  const logger = createLogger('info', { write: (line: string) => lines.push(line) });
  const bot = startTelegramBot(
    { url: 'http://127.0.0.1:9', key: undefined },
    { logFile: undefined, logger },
  );
  await eventually(() => expect(lines.join('')).toContain('the Telegram bot has ended'));
  await bot.close();
});
