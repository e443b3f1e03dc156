import { createTestDatabase } from '../../backend/test/database.ts';
import { startFakeModel } from '../../backend/test/fake-model.ts';
import type { FakeModel } from '../../backend/test/fake-model.ts';
import { freePort } from '../../backend/src/local/free-port.ts';
import { startFakeTelegram } from './fake-telegram.ts';
import type { FakeTelegram, ShownMessage } from './fake-telegram.ts';
import { eventually, startBackend, startBot, untilHealthy } from './processes.ts';
import type { Running } from './processes.ts';

/** A real backend on a database of its own, with a fake model, and as many bots as a test wants. */
export interface Stage {
  databaseUrl: string;
  backendUrl: string;
  backend: Running;
  model: FakeModel;
  /** A fake Telegram and a real bot on it. Each has users of its own, so chats do not meet. */
  startBot(env?: Record<string, string>): Promise<{ telegram: FakeTelegram; bot: Running }>;
  close(): Promise<void>;
}

/** `env`: more for the backend. */
export async function setStage(env: Record<string, string> = {}): Promise<Stage> {
  const database = await createTestDatabase();
  const model = await startFakeModel();
  const port = await freePort();
  const backendUrl = `http://127.0.0.1:${port}`;
  const backend = startBackend(port, database.url, model.url, env);
  const started: { telegram: FakeTelegram; bot: Running }[] = [];
  await untilHealthy(backendUrl);
  return {
    databaseUrl: database.url,
    backendUrl,
    backend,
    model,
    async startBot(botEnv = {}) {
      const telegram = await startFakeTelegram();
      const bot = startBot(telegram.root, backendUrl, botEnv);
      started.push({ telegram, bot });
      return { telegram, bot };
    },
    async close() {
      await Promise.all(started.map(({ bot }) => bot.crash()));
      await Promise.all([backend.crash(), ...started.map(({ telegram }) => telegram.close())]);
      await model.close();
      await database.drop();
    },
  };
}

/** The bot's messages in a chat, once there are `count` that are not still growing. */
export async function answersIn(
  telegram: FakeTelegram,
  chatId: number,
  count = 1,
): Promise<ShownMessage[]> {
  const whole = () => telegram.visible(chatId).filter((message) => !isGrowing(message));
  await eventually(() => whole().length >= count, { what: `answer ${count} in chat ${chatId}` });
  return whole();
}

export function isGrowing(message: ShownMessage): boolean {
  return message.text.endsWith(' ▍');
}

/** The callback data of the buttons under a message. */
export function buttonsOf(message: ShownMessage): string[] {
  return (message.payload.reply_markup?.inline_keyboard ?? [])
    .flat()
    .map((button) => button.callback_data);
}
