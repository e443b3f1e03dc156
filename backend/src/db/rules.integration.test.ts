import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSql } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';

let sql: Sql;
let drop: () => Promise<void>;

beforeAll(async () => {
  const database = await createTestDatabase();
  drop = () => database.drop();
  sql = openSql(database.url);
  await sql.rows(
    `with session as (
      insert into chat_sessions (chat_id, user_id) values ('chat', 'user') returning id
    ), message as (
      insert into messages (session_id, role, content) select id, 'user', 'Hi' from session
    )
    insert into turns (session_id, chat_id, user_id, state) select id, 'chat', 'user', 'failed' from session`,
  );
});

afterAll(async () => {
  await sql.close();
  await drop();
});

const long = `repeat('x', 129)`;

test.each([
  ['chat_sessions', `user_id = ''`, 'user_id must have 1 to 128 characters'],
  ['chat_sessions', `chat_id = ${long}`, 'chat_id must have 1 to 128 characters'],
  ['chat_sessions', `channel = repeat('x', 33)`, 'channel must have 1 to 32 characters'],
  ['chat_sessions', `summary_request = 'now'`, 'summary_request must be summarize or rebuild'],
  ['chat_sessions', 'summary_failures = -1', 'summary_failures must not be negative'],
  ['chat_sessions', 'messages_since_summary = -1', 'messages_since_summary'],
  ['messages', `role = 'robot'`, 'role must be user, assistant, system or tool'],
  ['messages', 'tokens = -1', 'tokens must not be negative'],
  ['messages', `author = 'me'`, 'author must be operator or null'],
  ['messages', `delivery_state = 'lost'`, 'delivery_state must be pending, sending'],
  ['turns', `user_id = ${long}`, 'user_id must have 1 to 128 characters'],
  ['turns', `client_message_id = ''`, 'client_message_id must have 1 to 128 characters'],
  ['turns', `state = 'lost'`, 'state must be received, answering'],
  ['turns', `state = 'answering'`, 'a turn has lease_expires_at while'],
  ['turns', 'lease_expires_at = now()', 'a turn has lease_expires_at while'],
  ['turns', `finish_reason = 'tired'`, 'finish_reason must be stop, length or cancelled'],
])('%s: %s is refused, and by a new row too', async (table, assignment, message) => {
  await expect(sql.rows(`update ${table} set ${assignment}`)).rejects.toThrow(message);
  const [column, value] = assignment.split(' = ');
  const others = columnsOf[table]?.filter((name) => name !== column) ?? [];
  await expect(
    sql.rows(
      `insert into ${table} (${column}, ${others.join(', ')})
        select ${value}, ${others.join(', ')} from ${table}`,
    ),
  ).rejects.toThrow(message);
});

const columnsOf: Record<string, string[]> = {
  chat_sessions: ['user_id', 'chat_id'],
  messages: ['session_id', 'role', 'content'],
  turns: ['session_id', 'chat_id', 'user_id', 'state'],
};

test('whoever closes a session or opens it, closed_at says the same', async () => {
  const closedAt = async (assignment: string) => {
    await sql.rows(`update chat_sessions set ${assignment}`);
    const [session] = await sql.rows<{ is_active: boolean; has: boolean }>(
      `select is_active, closed_at is not null as has from chat_sessions`,
    );
    return session;
  };
  expect(await closedAt('is_active = false')).toEqual({ is_active: false, has: true });
  expect(await closedAt('is_active = true')).toEqual({ is_active: true, has: false });
  expect(await closedAt('closed_at = now()')).toEqual({ is_active: false, has: true });
  expect(await closedAt('is_active = true, closed_at = now()')).toEqual({
    is_active: true,
    has: false,
  });
});

test('a turn forgets a message that is deleted, and follows one that takes a new id', async () => {
  const [message] = await sql.rows<{ id: string }>(
    `insert into messages (session_id, role, content, turn_id)
      select session_id, 'user', 'Hi', id from turns returning id`,
  );
  await sql.rows('update turns set user_message_id = $1, reply_message_id = $1', [message?.id]);
  const [moved] = await sql.rows<{ id: string }>(
    'update messages set id = default where id = $1 returning id',
    [message?.id],
  );
  const refersTo = () => sql.rows('select user_message_id, reply_message_id from turns');
  expect(await refersTo()).toEqual([{ user_message_id: moved?.id, reply_message_id: moved?.id }]);
  await sql.rows('delete from messages where id = $1', [moved?.id]);
  expect(await refersTo()).toEqual([{ user_message_id: null, reply_message_id: null }]);
});

test('what is of no session is refused, and what is of one goes with it', async () => {
  const nowhere = 'there is no session 00000000-0000-0000-0000-000000000000';
  const id = `'00000000-0000-0000-0000-000000000000'`;
  await expect(
    sql.rows(`insert into messages (session_id, role, content) values (${id}, 'user', 'Hi')`),
  ).rejects.toThrow(nowhere);
  await expect(
    sql.rows(
      `insert into turns (session_id, chat_id, user_id, state) values (${id}, 'chat', 'user', 'failed')`,
    ),
  ).rejects.toThrow(nowhere);
  await expect(sql.rows(`update turns set session_id = ${id}`)).rejects.toThrow(nowhere);

  const left = async () =>
    await sql.rows(
      `select (select count(*)::integer from messages) as messages,
        (select count(*)::integer from turns) as turns`,
    );
  expect(await left()).toEqual([{ messages: expect.any(Number), turns: 1 }]);
  await sql.rows('delete from chat_sessions');
  expect(await left()).toEqual([{ messages: 0, turns: 0 }]);
});
