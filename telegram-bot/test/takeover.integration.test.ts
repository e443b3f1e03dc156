import type { User } from 'grammy/types';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { en } from '#src/texts/en.ts';
import type { FakeTelegram } from './fake-telegram.ts';
import { say } from './people.ts';
import { eventually } from './processes.ts';
import type { Running } from './processes.ts';
import { answersIn, isGrowing, setStage } from './stage.ts';
import type { Stage } from './stage.ts';

let stage: Stage;
let telegram: FakeTelegram;
let bot: Running;
let sql: Client;
let people = 9_000;

beforeAll(async () => {
  stage = await setStage();
  stage.model.behave(({ messages }) =>
    messages.at(-1)?.content === 'ponder'
      ? { kind: 'hang', text: 'I think that' }
      : { kind: 'reply' },
  );
  ({ telegram, bot } = await stage.startBot());
  sql = new Client({ connectionString: stage.databaseUrl });
  await sql.connect();
});

afterAll(async () => {
  await sql.end();
  await stage.close();
});

test('while an operator holds the chat the bot sends nothing but the operator’s words', async () => {
  const ada = somebody();
  say(telegram, 'hello', ada);
  await answersIn(telegram, ada.id);
  await operate(ada, 'takeover');
  const before = callsTo(ada).length;
  say(telegram, 'is anybody there?', ada);
  await silenced(ada, 1);
  await eventually(() => telegram.queue.length === 0, { what: 'the confirmation' });
  await operate(ada, 'messages', { text: 'A person here.' });
  await answersIn(telegram, ada.id, 2);
  expect(callsTo(ada).slice(before)).toEqual(['sendMessage']);

  say(telegram, '/start', ada);
  await answersIn(telegram, ada.id, 3);
  say(telegram, 'and now?', ada);
  await silenced(ada, 2);
  await operate(ada, 'handback');
  say(telegram, 'thanks', ada);
  await answersIn(telegram, ada.id, 4);
  expect(telegram.visible(ada.id).map(({ text }) => text)).toEqual([
    'echo: hello',
    'A person here.',
    en.greeting,
    'echo: thanks',
  ]);
});

test('an answer that was growing when the chat was taken over goes away, and nothing is left of it', async () => {
  const ada = somebody();
  say(telegram, 'ponder', ada);
  await eventually(() => telegram.visible(ada.id).find(isGrowing), { what: 'the preview' });
  await operate(ada, 'takeover');
  await eventually(() => telegram.visible(ada.id).length === 0, { what: 'its removal' });
  await silenced(ada, 1);
  await operate(ada, 'messages', { text: 'Let me take this.' });
  await answersIn(telegram, ada.id);
  expect(telegram.visible(ada.id).map(({ text }) => text)).toEqual(['Let me take this.']);
  // It waits for whatever still types or answers.
  expect(await bot.terminate()).toBe(0);
});

function somebody(): User {
  people += 1;
  return { id: people, is_bot: false, first_name: 'Ada', language_code: 'en' };
}

async function operate({ id }: User, what: string, body: object = {}): Promise<void> {
  const response = await fetch(`${stage.backendUrl}/v1/chats/${id}/${what}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.ok).toBe(true);
}

async function silenced({ id }: User, count: number): Promise<void> {
  await eventually(async () => {
    const { rowCount } = await sql.query(
      `select from turns where chat_id = $1 and state = 'silenced'`,
      [String(id)],
    );
    return rowCount === count;
  });
}

/** What the bot did in the chat. */
function callsTo({ id }: User): string[] {
  return telegram.calls
    .filter(({ payload }) => Number(payload.chat_id) === id)
    .map(({ method }) => method);
}
