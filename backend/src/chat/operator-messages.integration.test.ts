import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openSql, startApi } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';

type Api = Awaited<ReturnType<typeof startApi>>;

let sql: Sql;
let api: Api;
/** Somebody who may write into the tables by hand, and no more than that: a role as the panel has it. */
let panel: Client;
const role = `panel_${randomBytes(6).toString('hex')}`;
let chat: string;
let chats = 0;

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  sql = openSql(databaseUrl);
  api = await startApi({ databaseUrl });
  panel = new Client({ connectionString: databaseUrl });
  await panel.connect();
  await sql.rows(`create role ${role}`);
  for (const grant of [
    'select on chat_sessions, messages, conversation_summaries, embeddings',
    'insert (session_id, role, content, author), update (content), delete on messages',
    'update (content), delete on conversation_summaries',
    'update (importance) on embeddings',
    'update (is_active, taken_over_at) on chat_sessions',
  ]) {
    await sql.rows(`grant ${grant} to ${role}`);
  }
  await panel.query(`set role ${role}`);
});

beforeEach(() => {
  chat = `chat-${(chats += 1)}`;
});

afterAll(async () => {
  await panel.end();
  await sql.rows(`drop owned by ${role}`);
  await sql.rows(`drop role ${role}`);
  await api.close();
  await sql.close();
});

test('an operator’s words wait in the outbox of the chat’s channel, whoever stored them', async () => {
  await hear('Hi');
  const { status, body } = await say('By the API.');
  expect({ status, body }).toEqual({
    status: 201,
    body: { message_id: expect.stringMatching(/^\d+$/), delivery: 'pending' },
  });
  await panel.query(
    `insert into messages (session_id, role, content, author)
      select id, 'assistant', 'By hand.', 'operator' from chat_sessions where chat_id = $1`,
    [chat],
  );
  await say('By the API again.');
  expect(await offered()).toMatchObject([
    { text: 'By the API.', author: 'operator', chat_id: chat, turn_id: null, state: 'pending' },
    { text: 'By hand.', author: 'operator', chat_id: chat, turn_id: null, state: 'pending' },
    { text: 'By the API again.' },
  ]);
  expect(await sessions()).toMatchObject([{ messages_since_summary: 5 }]);
});

test('what an operator only notes down is not sent', async () => {
  await hear('Hi');
  for (const [author, noted] of [
    ['operator', 'system'],
    [null, 'assistant'],
  ]) {
    await sql.rows(
      `insert into messages (session_id, role, content, author)
        select id, $2, 'noted', $3 from chat_sessions where chat_id = $1`,
      [chat, noted, author],
    );
  }
  expect(await offered()).toEqual([]);
});

test('where the conversation was closed, the operator opens the one that the user answers in', async () => {
  await hear('Hi');
  await api.post('/v1/chat/reset', { chat_id: chat });
  await Promise.all(['one', 'two', 'three', 'four'].map((text) => say(text)));
  const [closed, opened, ...more] = await sessions();
  expect(more).toEqual([]);
  expect(closed).toMatchObject({ is_active: false, messages_since_summary: 2 });
  expect(opened).toMatchObject({
    is_active: true,
    channel: chat,
    user_id: `user of ${chat}`,
    messages_since_summary: 4,
  });
  expect((await hear('Hello')).body.session_id).toBe(opened?.['id']);
});

test('whose memory is deleted by hand, its vector goes too, though the role may not write that down', async () => {
  await hear('Hi');
  const [session] = await sessions();
  await sql.rows(
    `insert into embeddings (session_id, message_id, role, model)
      select session_id, id, role, 'a model' from messages where session_id = $1`,
    [session?.['id']],
  );
  // As PostgreSQL below 18 does it where a message goes.
  await sql.rows(`grant delete on embeddings to ${role}`);
  await panel.query('delete from embeddings where session_id = $1', [session?.['id']]);
  await sql.rows(`revoke delete on embeddings from ${role}`);
  expect(await sql.rows('select from deleted_vectors')).toHaveLength(2);
});

test('every edit of the panel keeps the counters, though its role may not write them', async () => {
  for (const text of ['one', 'two', 'three']) await hear(text);
  const [session] = await sessions();
  const [first, second] = await sql.rows<{ id: string }>(
    'select id from messages where session_id = $1 order by id',
    [session?.['id']],
  );
  await sql.rows(
    `insert into conversation_summaries (session_id, version, content, last_message_id)
      values ($1, 1, 'They counted. To three.', $2)`,
    [session?.['id'], first?.id],
  );
  await panel.query('delete from messages where id = $1', [second?.id]);
  await panel.query(`update messages set content = 'edited' where id = $1`, [first?.id]);
  await panel.query(
    `update conversation_summaries set content = 'They count.' where session_id = $1`,
    [session?.['id']],
  );
  expect(await sessions()).toMatchObject([{ messages_since_summary: 4 }]);
  expect(
    await sql.rows('select content from embeddings where session_id = $1 and summary_id > 0', [
      session?.['id'],
    ]),
  ).toEqual([{ content: 'They count.' }]);
  await panel.query('delete from conversation_summaries where session_id = $1', [session?.['id']]);
  expect(await sessions()).toMatchObject([{ messages_since_summary: 5 }]);
  await panel.query('update embeddings set importance = 0 where session_id = $1', [
    session?.['id'],
  ]);
  await panel.query('update chat_sessions set taken_over_at = now() where chat_id = $1', [chat]);
  expect((await hear('four')).body.type).toBe('silence');
  await panel.query('update chat_sessions set is_active = false where chat_id = $1', [chat]);
  expect(await sessions()).toMatchObject([{ is_active: false, closed_at: expect.any(Date) }]);
  await expect(
    panel.query('update chat_sessions set messages_since_summary = 0 where chat_id = $1', [chat]),
  ).rejects.toThrow(/permission denied/);
});

async function hear(text: string) {
  return await api.handle({ chat_id: chat, text, channel: chat });
}

async function say(text: string) {
  return await api.post(`/v1/chats/${chat}/messages`, { text });
}

async function sessions() {
  return await sql.rows('select * from chat_sessions where chat_id = $1 order by created_at', [
    chat,
  ]);
}

async function offered() {
  const { body } = await api.get(`/v1/deliveries?channel=${chat}`);
  return body['deliveries'];
}
