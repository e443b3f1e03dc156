import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { createTestDatabase } from '../../backend/test/database.ts';
import { startFakeModel } from '../../backend/test/fake-model.ts';
import { seeded } from '../../backend/test/seeded-random.ts';
import { freePort } from '../../backend/src/local/free-port.ts';
import { startFakeTelegram } from './fake-telegram.ts';
import type { FakeTelegram, Trouble } from './fake-telegram.ts';
import { say } from './people.ts';
import { eventually, startBackend, startBot } from './processes.ts';

export interface CrashPlan {
  seed: number;
  kills: number;
  messages: number;
  chats: number;
  /** What a bot would lose that confirms updates before they are stored. */
  confirmEarly: boolean;
}

/** One turn as the database has it in the end. */
export interface StoredTurn {
  chat_id: string;
  state: string;
  asked: string;
  reply_id: string;
  reply: string;
  delivery: string;
}

export interface CrashRun {
  telegram: FakeTelegram;
  /** By chat, what was said there, in order. */
  said: Map<number, string[]>;
  turns: StoredTurn[];
  log: string;
}

/** Everything is quiet when this many looks in a row found nothing to do. */
const QUIET_LOOKS = 3;
const QUIET_WITHIN_MS = 60_000;

/**
 * People write in several chats while bot and backend are killed at random moments and Telegram
 * is slow and drops sockets. Returns what is there when all is quiet again.
 */
export async function runCrashes(plan: CrashPlan): Promise<CrashRun> {
  const random = seeded(plan.seed);
  const between = (low: number, high: number) => low + random() * (high - low);
  const database = await createTestDatabase();
  const sql = new Client({ connectionString: database.url });
  await sql.connect();
  const model = await startFakeModel();
  model.behave(() => ({
    kind: 'reply',
    delayMs: between(10, 200),
    chunkDelayMs: random() < 0.1 ? 700 : 0,
  }));
  const telegram = await startFakeTelegram();
  telegram.confirmEarly = plan.confirmEarly;
  telegram.trouble = (method) => (method.startsWith('send') ? sendTrouble(random()) : undefined);

  const port = await freePort();
  const newBackend = () => startBackend(port, database.url, model.url, { LOG_LEVEL: 'info' });
  const newBot = () => startBot(telegram.root, `http://127.0.0.1:${port}`);
  const running = { backend: newBackend(), bot: newBot() };
  const logs: string[] = [];
  let killed = 0;

  async function killSometimes(): Promise<void> {
    await sleep(2_500);
    while (killed < plan.kills) {
      const victim = random() < 0.6 ? 'bot' : 'backend';
      // Who is not up yet has little to lose, but on a slow machine that is when it happens. Every
      // other backend lives to answer something: a turn that took five down would be given up.
      const livesOn = victim === 'backend' && killed % 2 === 0;
      const patience = Date.now() + (livesOn ? 10_000 : 1_500);
      const sign = livesOn ? '"finish_reason":' : ' ready"';
      await eventually(() => running[victim].output().includes(sign) || Date.now() > patience);
      await sleep(between(0, 600));
      await running[victim].crash();
      logs.push(`--- ${victim} ---\n${running[victim].output()}`);
      if (victim === 'bot') await forgetSenders(sql);
      else await forgetClaims(sql);
      running[victim] = victim === 'bot' ? newBot() : newBackend();
      killed += 1;
    }
  }

  const said = new Map<number, string[]>();
  async function write(): Promise<void> {
    for (let count = 1; count <= plan.messages;) {
      const chat = 2_000 + Math.floor(random() * plan.chats);
      // Some people write twice in one breath.
      for (let left = random() < 0.2 ? 2 : 1; left > 0 && count <= plan.messages; left -= 1) {
        const words = `message ${count}`;
        said.set(chat, [...(said.get(chat) ?? []), words]);
        say(telegram, words, { id: chat, is_bot: false, first_name: 'Ada' });
        count += 1;
      }
      // As long as there are kills to come, there is something to be lost by them.
      await sleep(killed < plan.kills ? (between(0, 2) * plan.kills * 900) / plan.messages : 5);
    }
  }

  try {
    await Promise.all([killSometimes(), write()]);
    await untilQuiet(sql, telegram);
    const turns = await listTurns(sql);
    logs.push(running.bot.output(), running.backend.output());
    return { telegram, said, turns, log: logs.join('\n') };
  } finally {
    await Promise.all([running.bot.crash(), running.backend.crash()]);
    await Promise.all([sql.end(), model.close(), telegram.close()]);
    await database.drop();
  }
}

/** Slow sends, without which every crash test passes; and now and then an outcome that is not told. */
function sendTrouble(dice: number): Trouble {
  const delayMs = 20 + dice * 400;
  if (dice < 0.02) return { delayMs, drop: 'after' };
  if (dice < 0.04) return { delayMs, drop: 'before' };
  if (dice < 0.06) return { delayMs, status: 500, carriedOut: dice < 0.05 };
  if (dice < 0.1) return { status: 429, retryAfter: 1 };
  return { delayMs };
}

/** A crashed bot's claims on answers run out in a minute, which is too long for a test. */
async function forgetSenders(sql: Client): Promise<void> {
  await sql.query(
    `update messages set delivery_due_at = now() where delivery_state in ('pending', 'sending')`,
  );
}

/** A crashed backend's claims on turns run out in fifteen seconds. */
async function forgetClaims(sql: Client): Promise<void> {
  await sql.query(
    `update turns set lease_expires_at = now() where state in ('received', 'answering')`,
  );
}

async function untilQuiet(sql: Client, telegram: FakeTelegram): Promise<void> {
  const deadline = Date.now() + QUIET_WITHIN_MS;
  for (let quiet = 0; quiet < QUIET_LOOKS && Date.now() < deadline;) {
    await sleep(500);
    const { rows } = await sql.query<{ busy: number }>(
      `select (select count(*) from turns where state in ('received', 'answering'))
        + (select count(*) from messages where delivery_state in ('pending', 'sending')) as busy`,
    );
    quiet = Number(rows[0]?.busy) === 0 && telegram.queue.length === 0 ? quiet + 1 : 0;
    if (Date.now() > deadline - QUIET_WITHIN_MS + 5_000) await forgetSenders(sql);
  }
}

async function listTurns(sql: Client): Promise<StoredTurn[]> {
  const { rows } = await sql.query<StoredTurn>(
    `select t.chat_id, t.state, coalesce(u.content, t.text) as asked, r.id as reply_id,
        r.content as reply, r.delivery_state as delivery
      from turns t
      left join messages u on u.id = t.user_message_id
      left join messages r on r.id = t.reply_message_id
      order by t.id`,
  );
  return rows;
}
