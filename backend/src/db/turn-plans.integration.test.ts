import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSql, startApi } from '#test/api.ts';
import type { ApiClient, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

const TURNS = 40;

let sql: Sql;
let model: FakeModel;
let api: ApiClient & { close(): Promise<void> };

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  sql = openSql(databaseUrl);
  model = await startFakeModel();
  model.behave({ kind: 'reply' });
  api = await startApi({ databaseUrl, modelUrl: model.url, env: { SUMMARY_MODE: 'off' } });
});

afterAll(async () => {
  await api.close();
  await sql.close();
  await model.close();
});

/** Of other chats; whoever goes through them reads as many rows. */
const OTHER_TURNS = 2_000;

// A plan that is made while a table is known to be empty may read it whole, and a connection keeps it.
test('no turn reads a whole table, though the plans were made while all were empty', async () => {
  await sql.rows('vacuum analyze');
  for (let turn = 0; turn < TURNS; turn += 1) {
    await api.handle({ chat_id: `chat ${turn % 4}`, text: `Hello for the ${turn}th time` });
  }
  await eventually(async () => expect(await countStored()).toBe(TURNS));
  const read = await sql.rows(
    `select relname, seq_scan from pg_stat_user_tables
      where relname in ('chat_sessions', 'messages', 'turns', 'conversation_summaries')
        and seq_scan >= $1`,
    [TURNS],
  );
  expect(read).toEqual([]);
});

test('no turn goes through the turns of other chats', async () => {
  await sql.rows(
    `with session as (
      insert into chat_sessions (chat_id, user_id) values ('other', 'other') returning id
    )
    insert into turns (session_id, chat_id, user_id, state)
      select id, 'other', 'other', 'answered' from session, generate_series(1, $1::integer)`,
    [OTHER_TURNS],
  );
  // Behind a summary lies what a turn searches.
  await sql.rows(
    `insert into conversation_summaries (session_id, version, content, last_message_id)
      select id, 1, 'They greeted each other many times.', last_message_id
        from chat_sessions where chat_id <> 'other'`,
  );
  await sql.rows('select index_memories(1000, false)');
  // The counters of a connection come a second late at most.
  const readBy = async (turns: number) => {
    await eventually(async () => expect(await countStored()).toBe(turns));
    const [counted] = await sql.rows<{ read: number }>(
      `select (seq_tup_read + idx_tup_fetch)::integer as read
        from pg_stat_user_tables where relname = 'turns'`,
    );
    return counted?.read ?? 0;
  };
  const before = await readBy(TURNS + OTHER_TURNS);
  let recalled = 0;
  for (let turn = 0; turn < TURNS; turn += 1) {
    const said = { chat_id: `chat ${turn % 4}`, text: `Hello, what was said the ${turn}th time?` };
    const { body } = await api.handle(said);
    const log = await api.get<{ context: { recalled: object[] } }>(
      `/v1/turns/${body.turn_id}/context`,
    );
    recalled += log.body.context.recalled.length;
  }
  expect(recalled).toBeGreaterThan(0);
  const read = (await readBy(TURNS + OTHER_TURNS + TURNS)) - before;
  // Whoever looks for orphaned turns goes through so small a table too, every two seconds.
  expect(read).toBeLessThan((TURNS * OTHER_TURNS) / 2);
});

async function countStored(): Promise<number> {
  const [counted] = await sql.rows<{ turns: number }>(
    `select n_tup_ins::integer as turns from pg_stat_user_tables where relname = 'turns'`,
  );
  return counted?.turns ?? 0;
}
