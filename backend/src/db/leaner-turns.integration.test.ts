import { promises as fs } from 'node:fs';
import path from 'node:path';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSql } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createEmptyDatabase } from '#test/database.ts';
import { connect } from './connect.ts';
import { migrateToLatest } from './migrate.ts';

const log = {
  instruction: { tokens: 11 },
  summary: { id: '3', version: 2, last_message_id: '72', tokens: 112 },
  window: { first_message_id: '71', last_message_id: '90', messages: 8, tokens: 200 },
  recalled: [],
  message: { tokens: 19 },
  left_out: { messages: 0, unanswered_messages: 1, memories: 0 },
  prompt_tokens_estimated: 342,
  token_budget: 16_000,
  notes: ['recall_failed'],
};
const stored = {
  summary: { id: '3', version: 2, last_message_id: '72' },
  window: { first: '71', last: '90', messages: 8 },
  left_out: { messages: 0, unanswered_messages: 1, memories: 0 },
  notes: ['recall_failed'],
  tokens: { instruction: 11, summary: 112, window: 200, message: 19, prompt: 342, budget: 16_000 },
};

let sql: Sql;
let drop: () => Promise<void>;

beforeAll(async () => {
  const database = await createEmptyDatabase();
  drop = () => database.drop();
  const { db, close } = connect(database.url, { max: 1 });
  const migrationFolder = path.join(import.meta.dirname, 'migrations');
  const provider = new FileMigrationProvider({ fs, path, migrationFolder });
  const { error } = await new Migrator({ db, provider }).migrateTo('0015-edited-while-indexed');
  expect(error).toBeUndefined();
  await close();
  sql = openSql(database.url);
  await begin('answered');
  await finish();
  await begin('failed');
  await sql.rows(
    `update turns set state = 'failed', lease_expires_at = null, context = '{}'
      where chat_id = 'failed'`,
  );
  await migrateToLatest(database.url);
});

afterAll(async () => {
  await sql.close();
  await drop();
});

async function begin(chatId: string): Promise<void> {
  await sql.rows(
    `select open_turn($1, 'user', 'api', null, null, 'Hi', 1, interval '15 seconds', 8, 16000,
      '{"access": "open", "rate": 0, "chat_rate": 0, "budget": 0, "fixed_tokens": 0}', null)`,
    [chatId],
  );
}

/** As processes of the version before do it. */
async function finish(): Promise<void> {
  await sql.rows(
    `select finish_turn(id, session_id, 1, 'Hello', 1, interval '0', 'model', 'stop', null, null,
        null, 1, $1, 1, '{}')
      from turns where state = 'answering'`,
    [JSON.stringify(log)],
  );
}

async function turnsOf(chatId: string) {
  return await sql.rows(
    `select context, (select array_agg(m.role order by m.id) from messages m
        where m.turn_id = t.id and m.id in (t.user_message_id, t.reply_message_id)) as messages
      from turns t where chat_id = $1`,
    [chatId],
  );
}

test('what was stored before keeps its context log, and its messages learn their turn', async () => {
  expect(await turnsOf('answered')).toEqual([{ context: stored, messages: ['user', 'assistant'] }]);
  expect(await turnsOf('failed')).toEqual([{ context: {}, messages: ['user'] }]);
});

test('a process of the version before goes on', async () => {
  await begin('later');
  await finish();
  expect(await turnsOf('later')).toEqual([{ context: stored, messages: ['user', 'assistant'] }]);
});
