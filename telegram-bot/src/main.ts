import { createBackend } from './backend/backend.ts';
import { createBackground } from './background.ts';
import { createBursts } from './chat/bursts.ts';
import type { Chat } from './chat/chat.ts';
import { converse } from './chat/converse.ts';
import type { Incoming } from './chat/converse.ts';
import { workOutbox } from './chat/outbox.ts';
import { ConfigError, loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { createFeatures } from './features/features.ts';
import { showMenu } from './features/menu.ts';
import { createLanes } from './lanes.ts';
import { createLogger } from './logger.ts';
import { onStopSignal } from './stop-signal.ts';
import { WrongToken, createApi, createPersistentCall } from './telegram/api.ts';
import { createThrottle } from './throttle.ts';
import { poll } from './updates/poll.ts';
import { createTakeUpdate } from './updates/take-update.ts';
import { serveWebhook } from './updates/webhook.ts';

/** Messages that come this close are one turn. */
const BURST_WINDOW_MS = 300;
/** How long running answers may go on when the process is told to stop. */
const DRAIN_MS = 20_000;

/** Runs the bot until `stop` aborts, and lets what it has begun come to its end. */
async function runBot(config: Config, stop: AbortSignal): Promise<void> {
  const { token, backend: backendConfig, updates } = config;
  const secrets = [token, backendConfig.apiKey];
  if (updates.kind === 'webhook') secrets.push(updates.secret);
  const logger = createLogger(config.logLevel, secrets);
  const background = createBackground(logger);
  const api = createApi(token, config.telegramApiRoot);
  const chat: Chat = {
    api,
    backend: createBackend(backendConfig, logger),
    logger,
    background,
    sending: createLanes(),
    answering: createLanes(),
    previews: new Set(),
    beingSent: new Set(),
    remarks: createThrottle(),
    drafts: config.drafts,
    stop,
  };
  const persistently = createPersistentCall(logger, stop);
  const me = await persistently(() => api.getMe());
  logger.info({ username: me.username, updates: updates.kind }, 'bot ready');
  background.run(
    'menu',
    persistently(() => showMenu(api)),
  );
  background.run('outbox', workOutbox(chat));

  // Telegram's webhook brings the next message of a chat only when the last is taken.
  const window = updates.kind === 'polling' ? BURST_WINDOW_MS : 0;
  const bursts = createBursts<Incoming>(window, (words, turn) => converse(chat, words, turn));
  const takeUpdate = createTakeUpdate(api, me, createFeatures(chat, bursts), logger);
  if (updates.kind === 'polling') await poll(api, takeUpdate, { logger, stop });
  else await serveWebhook(api, takeUpdate, updates, { logger, stop });
  await background.drain(DRAIN_MS);
}

function explain(error: unknown): unknown {
  return error instanceof ConfigError || error instanceof WrongToken ? error.message : error;
}

const stopping = new AbortController();
onStopSignal(() => stopping.abort());
try {
  await runBot(loadConfig(), stopping.signal);
  process.exit(0);
} catch (error) {
  if (stopping.signal.aborted) process.exit(0);
  console.error(explain(error));
  process.exit(1);
}
