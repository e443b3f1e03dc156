import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { en } from '#src/texts/en.ts';
import { ru } from '#src/texts/ru.ts';
import { freePort } from '../../backend/src/local/free-port.ts';
import type { FakeTelegram } from './fake-telegram.ts';
import { ada, group, ivan, press, say } from './people.ts';
import { eventually, startBackend, startBot, untilHealthy } from './processes.ts';
import { answersIn, buttonsOf, setStage } from './stage.ts';
import type { Stage } from './stage.ts';

let stage: Stage;
let telegram: FakeTelegram;
let sql: Client;

beforeAll(async () => {
  stage = await setStage();
  ({ telegram } = await stage.startBot());
  sql = new Client({ connectionString: stage.databaseUrl });
  await sql.connect();
});

afterAll(async () => {
  await sql.end();
  await stage.close();
});

async function last(chatId: number, count: number) {
  const shown = (await answersIn(telegram, chatId, count)).at(-1);
  if (shown === undefined) throw new Error('nothing is shown');
  return shown;
}

/** Rows of a chat in every table that knows sessions. */
async function rowsOf(chatId: number): Promise<number> {
  const { rows } = await sql.query<{ count: string }>(
    `with sessions as (select id from chat_sessions where chat_id = $1)
      select (select count(*) from sessions)
        + (select count(*) from turns where chat_id = $1 or session_id in (select id from sessions))
        + (select count(*) from messages where session_id in (select id from sessions))
        + (select count(*) from conversation_summaries where session_id in (select id from sessions))
        + (select count(*) from embeddings where session_id in (select id from sessions)) as count`,
    [String(chatId)],
  );
  return Number(rows[0]?.count);
}

test('/memory, /export and /forget tell what is kept, give it, and erase it', async () => {
  say(telegram, 'my cat is called Murka', ivan);
  await last(ivan.id, 1);
  say(telegram, '/memory', ivan);
  const memory = await last(ivan.id, 2);
  expect(memory.text).toContain(ru.memory.noSummary);
  expect(memory.text).toContain('Вы: my cat is called Murka\nЯ: echo: my cat is called Murka');

  say(telegram, '/export', ivan);
  const file = await last(ivan.id, 3);
  const exported = JSON.parse(file.payload.document ?? '');
  expect(exported.sessions[0].messages[0].content).toBe('my cat is called Murka');
  expect(exported.chat_id).toBe(String(ivan.id));

  say(telegram, '/forget', ivan);
  const question = await last(ivan.id, 4);
  expect(question.text).toBe(ru.forget.ask);
  const [yes = '', no = ''] = buttonsOf(question);
  press(telegram, yes, question, ada);
  await eventually(() =>
    telegram.calls.some(({ payload }) => payload['text'] === en.forget.notYours),
  );
  press(telegram, no, question, ivan);
  await eventually(() => question.text === ru.forget.kept);
  expect(await rowsOf(ivan.id)).toBeGreaterThan(0);
  press(telegram, yes, question, ivan);
  await eventually(() => question.text === ru.forget.done);
  expect(await rowsOf(ivan.id)).toBe(0);
});

test('/start begins a new conversation', async () => {
  say(telegram, 'one', ada);
  await last(ada.id, 1);
  say(telegram, '/start', ada);
  await last(ada.id, 2);
  say(telegram, 'two', ada);
  await last(ada.id, 3);
  const { rows } = await sql.query(
    `select is_active from chat_sessions where chat_id = $1 order by created_at`,
    [String(ada.id)],
  );
  expect(rows.map((row) => row.is_active)).toEqual([false, true]);
});

test('in a group an administrator may have it forgotten', async () => {
  const admin = { ...ada, id: 1 };
  say(telegram, '/forget@memo_bot', admin, { chat: group });
  expect((await last(group.id, 1)).text).toBe(en.forget.ask);
});

test('what an operator writes is sent, in the order it was written', async () => {
  const chat = 4_001;
  say(telegram, 'hello', { ...ada, id: chat });
  await last(chat, 1);
  await sql.query(
    `insert into messages (session_id, role, content, author, delivery_state, delivery_channel, delivery_due_at)
      select id, 'assistant', text, 'operator', 'pending', 'telegram', now()
      from chat_sessions, unnest(array['*one*', 'two', 'three']) as text where chat_id = $1`,
    [String(chat)],
  );
  await last(chat, 4);
  expect(telegram.visible(chat).map(({ text }) => text)).toEqual([
    'echo: hello',
    'one',
    'two',
    'three',
  ]);
});

test('who may not speak, or not now, is told so in their language', async () => {
  const port = await freePort();
  const limits = { ACCESS: 'pairing', RATE_LIMIT_PER_MINUTE: '1' };
  const backend = startBackend(port, stage.databaseUrl, stage.model.url, limits);
  const url = `http://127.0.0.1:${port}`;
  await untilHealthy(url);
  const stranger = { ...ivan, id: 4_002 };
  const { telegram: own, bot } = await stage.startBot();
  await bot.crash();
  const strict = startBot(own.root, url);
  try {
    say(own, 'let me in', stranger);
    const [refusal] = await answersIn(own, stranger.id);
    const code = /[2-9A-HJ-NP-Z]{10}/.exec(refusal?.text ?? '')?.[0] ?? 'none';
    expect(refusal?.text).toBe(ru.problems.pairing(code));
    // A refused message is confirmed to Telegram too: it does not come again and again.
    await eventually(() => own.queue.length === 0);

    await sql.query(`update users set access = 'approved' where id = $1`, [String(stranger.id)]);
    say(own, 'and now', stranger);
    expect((await answersIn(own, stranger.id, 2)).at(-1)?.text).toBe('echo: and now');
    say(own, 'too quick', stranger);
    expect((await answersIn(own, stranger.id, 3)).at(-1)?.text).toMatch(/^Слишком быстро.*\d+ с/);
  } finally {
    await Promise.all([strict.crash(), backend.crash()]);
  }
});
