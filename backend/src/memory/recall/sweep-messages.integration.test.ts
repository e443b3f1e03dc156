import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '#src/db/connect.ts';
import type { Connection } from '#src/db/connect.ts';
import { openSql, startApi } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import { indexAllWords } from './index-recall.ts';
import { countMissedMessages, sweepMessages } from './sweep-messages.ts';

let sql: Sql;
let connection: Connection;
/** Somebody else, with a transaction of their own. */
let other: Client;
let sessionId: string;
/** What the other says is said here: there is a lock on a session while something is. */
let otherSessionId: string;

beforeAll(async () => {
  const { url } = await createTestDatabase();
  sql = openSql(url);
  connection = connect(url, { max: 4 });
  other = new Client({ connectionString: url });
  await other.connect();
});

afterAll(async () => {
  await other.end();
  await connection.close();
  await sql.close();
});

beforeEach(async () => {
  await other.query('rollback');
  await sql.rows('delete from chat_sessions');
  await sql.rows('delete from unentered_messages');
  await sweep();
  const [session, otherSession] = await sql.rows<{ id: string }>(
    `insert into chat_sessions (chat_id, user_id) values ('chat', 'user'), ('another', 'user')
      returning id`,
  );
  sessionId = session?.id ?? '';
  otherSessionId = otherSession?.id ?? '';
});

const sayAs = `
  insert into messages (session_id, role, content, created_at)
    select $1, $2, text, $4 from unnest($3::text[]) as text returning id`;
type Say = (texts: string[], role?: string, createdAt?: Date) => Promise<string[]>;

const say: Say = async (texts, role = 'user', createdAt = new Date()) => {
  const rows = await sql.rows<{ id: string }>(sayAs, [sessionId, role, texts, createdAt]);
  return rows.map(({ id }) => id);
};

/** As a turn without recall does. */
const sayUnheard: Say = async (...said) => {
  const ids = await say(...said);
  await sql.rows('delete from unentered_messages where message_id = any ($1)', [ids]);
  return ids;
};

/** The same in the other's transaction. */
async function otherSaysUnheard(text: string): Promise<string> {
  const said = [otherSessionId, 'user', [text], new Date()];
  const { rows } = await other.query<{ id: string }>(sayAs, said);
  const id = rows[0]?.id ?? '';
  await other.query('delete from unentered_messages where message_id = $1', [id]);
  return id;
}

async function sweep(): Promise<void> {
  while (await sweepMessages(connection.db));
}
const sweepFromTheStart = async () => {
  await sql.rows('update message_sweep set swept_to = 0, drawn_to = 0');
  await sweep();
};
const index = () =>
  indexAllWords(connection.db, { withVectors: false }, new AbortController().signal);
const queue = async () =>
  (
    await sql.rows<{ message_id: string }>(
      'select message_id from unentered_messages order by message_id',
    )
  ).map(({ message_id }) => message_id);
const ledger = async () =>
  (
    await sql.rows<{ content: string }>('select content from embeddings order by message_id, id')
  ).map(({ content }) => content);
const numbered = (count: number) => Array.from({ length: count }, (_, n) => `number ${n}`);

test('what was said while nobody told the ledger is indexed, notes of the system are not', async () => {
  const [unheard] = await sayUnheard(['unheard']);
  await sayUnheard(['a note'], 'system');
  const [answer] = await sayUnheard(['an answer'], 'assistant');
  const [heard] = await say(['heard']);
  expect(await countMissedMessages(connection.db)).toBe(2);
  await sweep();
  expect(await queue()).toEqual([unheard, answer, heard]);
  expect(await countMissedMessages(connection.db)).toBe(0);
});

test('the indexer sweeps when nothing else is left to do', async () => {
  await sayUnheard(['unheard']);
  await index();
  expect(await ledger()).toEqual(['unheard']);
  expect(await sql.rows('select from embeddings where terms is null')).toEqual([]);
});

test('the first message that a database ever has is looked at too', async () => {
  const { url } = await createTestDatabase();
  const [fresh, freshSql] = [connect(url, { max: 1 }), openSql(url)];
  await sweepMessages(fresh.db);
  const [first] = await freshSql.rows<{ id: string }>(
    `with session as (
      insert into chat_sessions (chat_id, user_id) values ('chat', 'user') returning id
    )
    insert into messages (session_id, role, content) select id, 'user', 'Hi' from session returning id`,
  );
  await freshSql.rows('delete from unentered_messages');
  while (await sweepMessages(fresh.db));
  expect(await freshSql.rows('select message_id from unentered_messages')).toEqual([
    { message_id: first?.id },
  ]);
  await Promise.all([fresh.close(), freshSql.close()]);
});

test('what the ledger knows, or is to know, is left as it is', async () => {
  await say(['known', 'known too']);
  await index();
  const [waiting] = await say(['waits']);
  await sweepFromTheStart();
  expect(await queue()).toEqual([waiting]);
});

test('a message whose id is smaller than those that are there is not passed, however old these are', async () => {
  await other.query('begin');
  const late = await otherSaysUnheard('drawn first, there last');
  const [early] = await sayUnheard(['there first'], 'user', new Date('2020-01-01'));
  await sweep();
  await sweep();
  expect(await countMissedMessages(connection.db)).toBe(1);
  await other.query('commit');
  await sweep();
  expect(await queue()).toEqual([late, early]);
});

test('what is drawn while a sweep waits is left to the next', async () => {
  await other.query('begin');
  const waitedFor = await otherSaysUnheard('waited for');
  await sweep();
  await other.query('commit');
  await other.query('begin');
  const late = await otherSaysUnheard('drawn meanwhile, there last');
  const [early] = await sayUnheard(['there first']);
  await sweep();
  expect(await queue()).toEqual([waitedFor]);
  await other.query('commit');
  await sweep();
  await sweep();
  expect(await queue()).toEqual([waitedFor, late, early]);
});

test('of two sweepers one finds nothing to do, and waits for nobody', async () => {
  await say(['heard']);
  const ids = await sayUnheard(numbered(5));
  await other.query('begin');
  for (const size of [1, 3]) {
    const { rows } = await other.query('select sweep_messages($1)', [size]);
    expect(rows).toEqual([{ sweep_messages: true }]);
    expect(await sweepMessages(connection.db)).toBe(false);
  }
  expect(await queue()).toHaveLength(1);
  await other.query('commit');
  expect((await queue()).slice(1)).toEqual(ids.slice(0, 3));
  await sweep();
  expect((await queue()).slice(1)).toEqual(ids);
});

test('many sweepers and indexers at once: each message is in the ledger once', async () => {
  const texts = numbered(2_500);
  await sayUnheard(texts);
  await Promise.all([1, 2, 3, 4].map(() => index()));
  await index();
  expect((await ledger()).toSorted()).toEqual(texts.toSorted());
  expect(await queue()).toEqual([]);
});

test('a message that enters the ledger at this moment does not come back', async () => {
  await say(['on its way']);
  await other.query('begin');
  await other.query('select enter_messages(100)');
  await sweep();
  await other.query('commit');
  expect(
    await sql.rows('select from message_sweep, messages_id_seq where swept_to = last_value'),
  ).toHaveLength(1);
  expect(await queue()).toEqual([]);
  expect(await ledger()).toEqual(['on its way']);
});

test('one that is queued although the ledger has it is there once', async () => {
  const long = 'A sentence of a text that goes on and on, as people seldom write. '.repeat(40);
  const [id] = await say([long]);
  await index();
  const before = await ledger();
  await sql.rows('insert into unentered_messages values ($1)', [id]);
  await index();
  expect(before.length).toBeGreaterThan(1);
  expect(await ledger()).toEqual(before);
});

test('who edits an unheard message and goes to lunch stops neither the index nor, later, the sweep', async () => {
  const [edited] = await sayUnheard(['before the edit']);
  await other.query('begin');
  await other.query(`update messages set content = 'after the edit' where id = $1`, [edited]);
  await say(['something else']);
  await index();
  expect(await ledger()).toEqual(['something else']);
  await other.query('rollback');
  await index();
  expect(await ledger()).toEqual(['before the edit', 'something else']);
});

test('new messages wait behind one page at most', async () => {
  await sayUnheard(numbered(2_500));
  expect(await sweepMessages(connection.db)).toBe(true);
  expect(await queue()).toHaveLength(1_000);
  const stopped = AbortSignal.abort();
  await indexAllWords(connection.db, { withVectors: false }, stopped);
  expect(await queue()).toHaveLength(1_000);
  await eventually(async () => {
    await index();
    expect(await ledger()).toHaveLength(2_500);
  });
});

test('what is said while recall is off leaves nothing, and is found once it is on', async () => {
  const { url: databaseUrl } = await createTestDatabase();
  const rows = openSql(databaseUrl);
  const model = await startFakeModel();
  const api = await startApi({ databaseUrl, modelUrl: model.url, env: { RAG_ENABLED: 'false' } });
  await api.handle({ chat_id: 'deaf', text: 'We got a beagle' });
  expect(await rows.rows('select from messages')).toHaveLength(2);
  expect(await rows.rows('select from unentered_messages')).toEqual([]);
  await api.close();
  await model.close();

  const { db, close } = connect(databaseUrl, { max: 2 });
  await indexAllWords(db, { withVectors: false }, new AbortController().signal);
  const found = await rows.rows(
    `select content from embeddings where terms is not null order by id`,
  );
  expect(found).toEqual([{ content: 'We got a beagle' }, { content: 'echo: We got a beagle' }]);
  await close();
  await rows.close();
});
