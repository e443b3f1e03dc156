import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openSql, startApi } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

let model: FakeModel;
let sql: Sql;
let api: Awaited<ReturnType<typeof startApi>>;

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  model = await startFakeModel();
  sql = openSql(databaseUrl);
  api = await startApi({ databaseUrl, modelUrl: model.url });
});

beforeEach(() => {
  model.requests.length = 0;
  model.behave({ kind: 'reply' });
});

afterAll(async () => {
  await api.close();
  await sql.close();
  await model.close();
});

describe('reset', () => {
  test('by chat and by session; what is not open counts as none', async () => {
    const { body: first } = await say('reset', 'one');
    expect(await reset({ chat_id: 'reset' })).toBe(1);
    expect(await reset({ chat_id: 'reset' })).toBe(0);
    const { body: second } = await say('reset', 'two');
    expect(second.session_id).not.toBe(first.session_id);
    expect(contents()).toEqual(['two']);
    expect(await reset({ session_id: first.session_id })).toBe(0);
    expect(await reset({ session_id: second.session_id })).toBe(1);
    expect(await reset({ session_id: '3b241101-e2bb-4255-8caf-4136c566a962' })).toBe(0);
    expect(await reset({ chat_id: 'nobody' })).toBe(0);
    const sessions = await sql.rows(
      `select is_active, closed_at is not null as stamped from chat_sessions where chat_id = 'reset'`,
    );
    expect(sessions).toEqual([
      { is_active: false, stamped: true },
      { is_active: false, stamped: true },
    ]);
  });

  test('turns that were answered or waited at the reset stay in the old conversation', async () => {
    const release = holdFirst();
    const running = say('busy', 'running');
    await eventually(() => expect(model.requests).toHaveLength(1));
    const waiting = say('busy', 'waiting');
    await eventually(async () => expect(await countOf('turns', 'busy')).toBe(2));
    expect(await reset({ chat_id: 'busy' })).toBe(1);
    const fresh = say('busy', 'fresh');
    await eventually(async () => expect(await countOf('turns', 'busy')).toBe(3));
    release();

    const [one, two, three] = await Promise.all([running, waiting, fresh]);
    expect(two.body.session_id).toBe(one.body.session_id);
    expect(three.body.session_id).not.toBe(one.body.session_id);
    expect(contents()).toEqual(['fresh']);
    await say('busy', 'after');
    expect(contents()).toEqual(['fresh', 'echo: fresh', 'after']);
  });
});

describe('forget', () => {
  test('a chat: all of it and nothing else goes, and the rows are counted', async () => {
    await say('kept', 'stays');
    for (const text of ['one', 'two']) await say('gone', text);
    await reset({ chat_id: 'gone' });
    await say('gone', 'three');
    await addSummary('gone');
    await sql.rows('select enter_messages(1000)');
    const before = await everythingOf('kept');

    const footprint = await api.get('/v1/chats/gone/footprint');
    const { body } = await api.post('/v1/chat/forget', { chat_id: 'gone' });
    expect(footprint).toMatchObject({
      status: 200,
      body: { rows: body.deleted, total: body.deleted_rows },
    });
    expect(body).toEqual({
      status: 'ok',
      deleted_rows: 2 + 6 + 1 + 3 + 7,
      deleted: {
        chat_sessions: 2,
        messages: 6,
        conversation_summaries: 1,
        turns: 3,
        embeddings: 6 + 1,
        users: 0,
      },
    });
    expect((await api.get('/v1/chats/gone/export')).status).toBe(404);
    expect(await mentionsOf('gone')).toEqual([]);
    expect(await everythingOf('kept')).toEqual(before);
    expect((await api.post('/v1/chat/forget', { chat_id: 'gone' })).body.deleted_rows).toBe(0);
    await say('gone', 'anew');
    expect(contents()).toEqual(['anew']);
  });

  test('a chat while it is answered and while turns wait: nothing comes back', async () => {
    const release = holdFirst();
    const running = say('forgotten', 'running');
    await eventually(() => expect(model.requests).toHaveLength(1));
    const waiting = say('forgotten', 'waiting');
    await eventually(async () => expect(await countOf('turns', 'forgotten')).toBe(2));
    await api.post('/v1/chat/forget', { chat_id: 'forgotten' });
    release();

    for (const { status, body } of await Promise.all([running, waiting])) {
      expect({ status, code: body.code }).toEqual({ status: 409, code: 'turn_cancelled' });
    }
    expect(await countOf('turns', 'forgotten')).toBe(0);
    expect((await api.get('/v1/chats/forgotten/export')).status).toBe(404);
  });

  test('a user: own chats go whole, from a group only what is theirs', async () => {
    const inGroup = (user_id: string, text: string) =>
      api.handle({ chat_id: 'group', user_id, text });
    await say('own', 'Ada alone', 'ada');
    await inGroup('ada', 'Ada in the group');
    await inGroup('bob', 'Bob in the group');
    await inGroup('ada', 'Ada again');
    await addSummary('group');
    await say('bobs', 'Bob alone', 'bob');

    await sql.rows(`insert into users (id) values ('ada'), ('bob')`);

    const before = await rowsByTable();
    const footprint = await api.get('/v1/users/ada/footprint');
    const { body } = await api.post('/v1/chat/forget', { user_id: 'ada' });
    const after = await rowsByTable();
    for (const [table, count] of Object.entries(before)) {
      expect(footprint.body.rows, table).toHaveProperty(table, count - (after[table] ?? 0));
    }
    expect(footprint.body).toEqual({ rows: body.deleted, total: body.deleted_rows });
    expect(body.deleted).toMatchObject({
      chat_sessions: 1,
      messages: 2 + 4,
      conversation_summaries: 1,
      turns: 1 + 2,
    });
    expect(await mentionsOf('Ada')).toEqual([]);
    expect(await sql.rows(`select from turns where user_id = 'ada'`)).toEqual([]);
    expect(await sql.rows(`select from chat_sessions where user_id = 'ada'`)).toEqual([]);
    await inGroup('bob', 'Bob goes on');
    expect(contents()).toEqual(['Bob in the group', 'echo: Bob in the group', 'Bob goes on']);
    expect(await countOf('turns', 'bobs')).toBe(1);
    expect((await api.post('/v1/chat/forget', { user_id: 'ada' })).body.deleted_rows).toBe(0);
  });

  test('a user whose message failed or waits', async () => {
    model.behave({ kind: 'status', status: 400 });
    await api.handle({ chat_id: 'mixed', user_id: 'eve', text: 'Eve failed' });
    model.behave({ kind: 'reply' });
    await api.handle({ chat_id: 'mixed', user_id: 'bob', text: 'Bob here' });
    await api.post('/v1/chat/forget', { user_id: 'eve' });
    expect(await mentionsOf('Eve')).toEqual([]);
    expect(await countOf('turns', 'mixed')).toBe(1);
  });
});

test('chats and users are forgotten while everybody talks: nothing fails, nothing is left', async () => {
  const people = Array.from({ length: 8 }, (_, index) => `person-${index}`);
  const talk = async (user_id: string) => {
    for (let turn = 0; turn < 12; turn += 1) {
      const own = turn % 2 === 0;
      const chat_id = own ? `own ${user_id}` : `shared ${turn % 4}`;
      const [said, forgotten] = await Promise.all([
        api.handle({ chat_id, user_id, text: `${user_id} says ${turn}. `.repeat(90) }),
        turn % 3 === 2 ? api.post('/v1/chat/forget', { user_id }) : undefined,
        turn % 4 === 3 ? api.post('/v1/chat/forget', { chat_id }) : undefined,
      ]);
      expect([200, 409], JSON.stringify(said.body)).toContain(said.status);
      expect(forgotten?.status ?? 200).toBe(200);
    }
  };
  await Promise.all(people.map(talk));
  for (const user_id of people) {
    expect((await api.post('/v1/chat/forget', { user_id })).status).toBe(200);
  }
  expect(await mentionsOf('says')).toEqual([]);
}, 60_000);

test('an export is complete, and holds nothing of another chat', async () => {
  for (const text of ['Xavier one', 'Xavier two']) await say('export', text, 'xavier');
  await say('neighbour', 'Yann one', 'yann');
  await reset({ chat_id: 'export' });
  await say('export', 'Xavier three', 'xavier');
  await sql.rows('select enter_messages(1000)');
  await addSummary('export');

  const { body } = await api.get<{
    sessions: { messages: { content: string; turn_id: string }[]; turns: { id: string }[] }[];
  }>('/v1/chats/export/export');
  expect(body.sessions.map(({ messages }) => messages.map(({ content }) => content))).toEqual([
    ['Xavier one', 'echo: Xavier one', 'Xavier two', 'echo: Xavier two'],
    ['Xavier three', 'echo: Xavier three'],
  ]);
  for (const { messages, turns } of body.sessions) {
    expect(messages.map(({ turn_id }) => turn_id)).toEqual(turns.flatMap(({ id }) => [id, id]));
  }
  expect(body.sessions[1]).toMatchObject({
    summaries: [{ version: 1, content: 'Ada summed up' }],
    embeddings: [{ role: 'user' }, { role: 'assistant' }, { content: 'Ada summed up' }],
  });
  expect(JSON.stringify(body)).not.toContain('Yann');
});

async function say(chat_id: string, text: string, user_id = `user of ${chat_id}`) {
  return await api.handle({ chat_id, user_id, text });
}

async function reset(target: object): Promise<unknown> {
  return (await api.post('/v1/chat/reset', target)).body.reset_sessions;
}

/** What the model was sent last, without the instruction. */
function contents(): string[] {
  const last = model.requests.at(-1)?.body.messages ?? [];
  return last.slice(1).map(({ content }) => content);
}

function holdFirst(): () => void {
  const release = Promise.withResolvers<void>();
  model.behave(async (_, index) => {
    if (index === 0) await release.promise;
    return { kind: 'reply' };
  });
  return release.resolve;
}

async function addSummary(chatId: string): Promise<void> {
  await sql.rows(
    `insert into conversation_summaries (session_id, version, content, last_message_id)
      select id, 1, 'Ada summed up', 0 from chat_sessions where chat_id = $1 and is_active`,
    [chatId],
  );
}

async function countOf(table: 'turns', chatId: string): Promise<number> {
  return (await sql.rows(`select from ${table} where chat_id = $1`, [chatId])).length;
}

async function everythingOf(chatId: string) {
  const { body } = await api.get<{ sessions: unknown[] }>(`/v1/chats/${chatId}/export`);
  return body.sessions;
}

/** Of the tables that a footprint counts. */
async function rowsByTable(): Promise<Record<string, number>> {
  const [counts] = await sql.rows<Record<string, number>>(
    `select (select count(*)::integer from chat_sessions) as chat_sessions,
      (select count(*)::integer from messages) as messages,
      (select count(*)::integer from conversation_summaries) as conversation_summaries,
      (select count(*)::integer from turns) as turns,
      (select count(*)::integer from embeddings) as embeddings,
      (select count(*)::integer from users) as users`,
  );
  return counts ?? {};
}

const tables = [
  'chat_sessions',
  'messages',
  'conversation_summaries',
  'turns',
  'embeddings',
  'recall_postings',
  'rates',
  'users',
] as const;

/** Rows of any table in which the word stands anywhere. */
async function mentionsOf(word: string): Promise<object[]> {
  const found = await Promise.all(
    tables.map((table) =>
      sql.rows(`select row_to_json(t) from ${table} t where row_to_json(t)::text ~ $1`, [
        `\\y${word}\\y`,
      ]),
    ),
  );
  return found.flat();
}
