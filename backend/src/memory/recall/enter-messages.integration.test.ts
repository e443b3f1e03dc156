import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openSql } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';

let sql: Sql;
/** Others, each with a transaction of their own. */
let other: Client;
let editor: Client;
let sessionId: string;

beforeAll(async () => {
  const { url } = await createTestDatabase();
  sql = openSql(url);
  [other, editor] = [new Client(url), new Client(url)];
  await Promise.all([other.connect(), editor.connect()]);
});

afterAll(async () => {
  await Promise.all([other.end(), editor.end()]);
  await sql.close();
});

beforeEach(async () => {
  await Promise.all([other.query('rollback'), editor.query('rollback')]);
  await sql.rows('delete from chat_sessions');
  await enter();
  const [session] = await sql.rows<{ id: string }>(
    `insert into chat_sessions (chat_id, user_id) values ('chat', 'user') returning id`,
  );
  sessionId = session?.id ?? '';
});

async function say(content: string, role = 'user'): Promise<string> {
  const [message] = await sql.rows<{ id: string }>(
    'insert into messages (session_id, role, content) values ($1, $2, $3) returning id',
    [sessionId, role, content],
  );
  return message?.id ?? '';
}

const enter = () => sql.rows('select enter_messages(100)');
const index = () => sql.rows('select index_memories(100, false) from generate_series(1, 3)');
const queue = async () =>
  (await sql.rows<{ message_id: string }>('select message_id from unentered_messages')).map(
    ({ message_id }) => message_id,
  );
const ledger = () =>
  sql.rows<{ message_id: string; content: string; indexed: boolean }>(
    `select message_id, content, terms is not null as indexed from embeddings order by id`,
  );

const edit = (id: string, content: string): [string, string[]] => [
  'update messages set content = $2 where id = $1',
  [id, content],
];
const someoneWaits = () =>
  eventually(async () => {
    expect(await sql.rows('select from pg_locks where not granted')).toHaveLength(1);
  });
const longText = (word: string) =>
  `A sentence of the ${word} text that goes on and on, as people seldom write. `.repeat(40);

test('what is said enters once, in order, long texts in passages; notes of the system do not', async () => {
  const sentence = 'A sentence of a text that goes on and on, as people seldom write. ';
  const [short, long] = [await say('short'), await say(sentence.repeat(40))];
  await say('You are a bot.', 'system');
  await enter();
  await enter();
  const rows = await ledger();
  expect(rows[0]).toEqual({ message_id: short, content: 'short', indexed: false });
  expect(rows.length).toBeGreaterThan(2);
  expect(rows.slice(1).every(({ message_id }) => message_id === long)).toBe(true);
  expect(rows.slice(1).flatMap(({ content }) => content.match(/A sentence/g))).toHaveLength(40);
  expect(await queue()).toEqual([]);
});

test('a message that is deleted before it enters leaves nothing', async () => {
  const id = await say('never mind');
  await sql.rows('delete from messages where id = $1', [id]);
  await enter();
  expect([await ledger(), await queue()]).toEqual([[], []]);
});

test('a message that someone is deleting is not waited for, and enters where they change their mind', async () => {
  const [going, staying] = [await say('going'), await say('staying')];
  await other.query('begin');
  await other.query('delete from messages where id = $1', [going]);
  await enter();
  expect(await ledger()).toMatchObject([{ message_id: staying }]);
  expect(await queue()).toEqual([going]);
  await other.query('rollback');
  await enter();
  expect(await ledger()).toMatchObject([{ message_id: staying }, { message_id: going }]);
});

test('an edit while the message enters is what recall finds in the end', async () => {
  const id = await say('the train leaves at nine');
  await other.query('begin');
  await other.query('select enter_messages(10)');
  const edited = sql.rows(...edit(id, 'the train leaves at ten'));
  await someoneWaits();
  await other.query('commit');
  await edited;
  await index();
  expect(await ledger()).toEqual([
    { message_id: id, content: 'the train leaves at ten', indexed: true },
  ]);
  expect(await queue()).toEqual([]);
});

test('a message whose edit is not committed waits for it, and nothing else does', async () => {
  const [edited, staying] = [await say('the train leaves at nine'), await say('staying')];
  await other.query('begin');
  await other.query(...edit(edited, 'the train leaves at ten'));
  await sql.rows('select enter_messages(10)');
  expect(await ledger()).toMatchObject([{ message_id: staying }]);
  expect(await queue()).toEqual([edited]);
  await other.query('commit');
  await index();
  expect(await ledger()).toMatchObject([
    { content: 'staying' },
    { content: 'the train leaves at ten' },
  ]);
});

test('an edit that is taken back leaves the message as it was', async () => {
  const id = await say('the train leaves at nine');
  await other.query('begin');
  await other.query(...edit(id, 'the train leaves at ten'));
  await sql.rows('select enter_messages(10)');
  await other.query('rollback');
  await index();
  expect(await ledger()).toMatchObject([{ content: 'the train leaves at nine' }]);
});

test('an edit of a message that the sweep is queueing is what recall finds in the end', async () => {
  const id = await say('the train leaves at nine');
  await sql.rows('delete from unentered_messages');
  await other.query('begin');
  await other.query('select queue_missed_messages(0, $1, 10)', [id]);
  await editor.query('begin');
  const edited = editor.query(...edit(id, 'the train leaves at ten'));
  await someoneWaits();
  await other.query('commit');
  await edited;
  await sql.rows('select enter_messages(10)');
  expect(await ledger()).toEqual([]);
  await editor.query('commit');
  await index();
  expect(await ledger()).toMatchObject([{ content: 'the train leaves at ten' }]);
});

test('of a long text that is edited while its passages are made anew none of the old stays', async () => {
  const id = await say(longText('first'));
  await index();
  await sql.rows(...edit(id, longText('second')));
  await other.query('begin');
  await other.query('select index_memories(10, false)');
  const edited = sql.rows(...edit(id, longText('third')));
  await someoneWaits();
  await other.query('commit');
  await edited;
  await index();
  const rows = await ledger();
  expect(rows.length).toBeGreaterThan(1);
  expect(rows.filter(({ content }) => !content.includes('third'))).toEqual([]);
});

test('who edits what the ledger has and the queue too, and goes to lunch, stops nobody', async () => {
  const [id, staying] = [await say('a word of the bot'), await say('staying')];
  await index();
  await sql.rows('insert into unentered_messages select unnest($1::bigint[])', [[id, staying]]);
  await other.query('begin');
  await other.query(`update messages set role = 'assistant' where id = $1`, [id]);
  await index();
  expect(await queue()).toEqual([id]);
  await other.query('commit');
  await index();
  expect(await sql.rows('select message_id, role from embeddings order by id')).toEqual([
    { message_id: id, role: 'assistant' },
    { message_id: staying, role: 'user' },
  ]);
});

test('a message that takes a new id before it enters does so under that', async () => {
  const id = await say('tried again');
  const [moved] = await sql.rows<{ id: string }>(
    'update messages set id = default where id = $1 returning id',
    [id],
  );
  await index();
  expect(await ledger()).toEqual([
    { message_id: moved?.id, content: 'tried again', indexed: true },
  ]);
  expect(await queue()).toEqual([]);
});

test('a message whose role stops being one that is remembered leaves the ledger', async () => {
  const id = await say('a note after all');
  await index();
  await sql.rows(`update messages set role = 'system' where id = $1`, [id]);
  await index();
  expect([await ledger(), await queue()]).toEqual([[], []]);
});

test('what an operator made of a memory outlives an edit of its message', async () => {
  const id = await say('The code of the gate is 4711.');
  await index();
  await sql.rows('update embeddings set importance = 0 where message_id = $1', [id]);
  await sql.rows(`update messages set content = 'The code is 4712.' where id = $1`, [id]);
  expect(await ledger()).toMatchObject([{ indexed: false }]);
  await index();
  expect(await sql.rows('select content, importance from embeddings')).toEqual([
    { content: 'The code is 4712.', importance: 0 },
  ]);
});
