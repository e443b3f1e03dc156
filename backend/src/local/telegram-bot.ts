import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { environmentWith } from '../config.ts';
import type { Logger } from '../logger.ts';

const entry = fileURLToPath(new URL('../../../telegram-bot/src/main.ts', import.meta.url));

/**
 * Runs the Telegram bot against the API, as a process of its own: it knows the API by HTTP alone.
 * Its log joins ours, its complaints go to stderr. It ends with us, however we end.
 */
export function startTelegramBot(
  api: { url: string; key: string | undefined },
  { logFile, logger }: { logFile: string | undefined; logger: Logger },
): { close: () => Promise<void> } {
  const child = spawn(process.execPath, [entry], {
    env: environmentWith({ BACKEND_URL: api.url, BACKEND_API_KEY: api.key ?? '' }),
    // A terminal's Ctrl-C is for us: the bot is told to stop while the API still answers it.
    detached: true,
    // Over the last one it hears when we are gone, even if we could not say so.
    stdio: ['ignore', logFile === undefined ? 'inherit' : openSync(logFile, 'a'), 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit');
  let stopping = false;
  void exited.then(([code, signal]: unknown[]) => {
    if (!stopping) logger.error({ code, signal }, 'the Telegram bot has ended; the API goes on');
  });
  return {
    async close() {
      stopping = true;
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await exited;
    },
  };
}
