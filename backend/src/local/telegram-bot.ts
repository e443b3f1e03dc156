import type { Logger } from '../logger.ts';
import { startOwnProcess } from './own-process.ts';
import type { OwnProcess } from './own-process.ts';

/** Runs the Telegram bot against the API: it knows it by HTTP alone. */
export function startTelegramBot(
  api: { url: string; key: string | undefined },
  log: { logFile: string | undefined; logger: Logger },
): OwnProcess {
  const variables = { BACKEND_URL: api.url, BACKEND_API_KEY: api.key ?? '' };
  const entry = 'telegram-bot/src/main.ts';
  return startOwnProcess({ name: 'the Telegram bot', entry, variables }, log);
}
