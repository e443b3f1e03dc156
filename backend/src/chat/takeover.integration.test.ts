import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { allEvents, openSql, startApi, streamHandle } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';
import { brokenSessions } from '#test/served-chats.ts';

type Api = Awaited<ReturnType<typeof startApi>>;

let databaseUrl: string;
let model: FakeModel;
let sql: Sql;
let api: Api;
let other: Api;

beforeAll(async () => {
  ({ url: databaseUrl } = await createTestDatabase());
  model = await startFakeModel();
  sql = openSql(databaseUrl);
  api = await startApi({ databaseUrl, modelUrl: model.url });
  other = await startApi({ databaseUrl, modelUrl: model.url });
});

afterEach(() => {
  model.behave({ kind: 'reply' });
});

afterAll(async () => {
  await Promise.all([api.close(), other.close()]);
  await sql.close();
  await model.close();
});

const silence = { type: 'silence', text: '', reply_message_id: null, delivery: null };

test('while an operator holds the chat the bot is silent; then it knows what was said', async () => {
  const chat = 'held';
  await api.handle({ chat_id: chat, text: 'Where is my parcel?' });
  expect(await takeOver(chat)).toMatchObject({
    status: 200,
    body: { status: 'ok', taken_over: true },
  });
  const calls = model.requests.length;

  const message = { chat_id: chat, text: 'Hello?', message_id: 'm-1' };
  const first = await other.handle(message);
  expect(first).toMatchObject({ status: 200, body: { ...silence, replayed: false } });
  expect((await api.handle(message)).body).toEqual({ ...first.body, replayed: true });
  const { response, events } = await streamHandle(api, { chat_id: chat, text: 'Anybody?' });
  expect(response.status).toBe(200);
  expect(await allEvents(events)).toMatchObject([
    { event: 'accepted', data: { silent: true } },
    { event: 'message', data: silence },
  ]);
  await say(chat, 'It comes tomorrow.');
  expect(model.requests).toHaveLength(calls);
  expect((await api.get(`/v1/turns/${first.body.turn_id}/context`)).body).toMatchObject({
    state: 'silenced',
    error: null,
  });

  expect(await handBack(chat)).toMatchObject({
    status: 200,
    body: { status: 'ok', taken_over: false },
  });
  expect((await api.handle({ chat_id: chat, text: 'Thanks' })).body.type).toBe('message');
  expect(lastPrompt()).toEqual([
    { role: 'user', content: 'Where is my parcel?' },
    { role: 'assistant', content: 'echo: Where is my parcel?' },
    { role: 'user', content: 'Hello?' },
    { role: 'user', content: 'Anybody?' },
    { role: 'assistant', content: 'It comes tomorrow.' },
    { role: 'user', content: 'Thanks' },
  ]);
  // What was silenced stays so: a person has dealt with it.
  expect((await api.handle(message)).body).toMatchObject({ ...silence, replayed: true });
});

test('a reset by the user does not hand the chat back, nor does a restart', async () => {
  const chat = 'reset';
  await api.handle({ chat_id: chat, text: 'Hi' });
  await takeOver(chat);
  await api.post('/v1/chat/reset', { chat_id: chat });
  const restarted = await startApi({ databaseUrl, modelUrl: model.url });
  try {
    const { body } = await restarted.handle({ chat_id: chat, text: 'A new beginning' });
    expect(body).toMatchObject(silence);
    await restarted.post('/v1/chat/reset', { chat_id: chat });
    await say(chat, 'It is still me.');
    expect((await restarted.handle({ chat_id: chat, text: 'Again' })).body).toMatchObject(silence);
    await handBack(chat);
    await restarted.post('/v1/chat/reset', { chat_id: chat });
    expect((await restarted.handle({ chat_id: chat, text: 'And now' })).body.text).toBe(
      'echo: And now',
    );
  } finally {
    await restarted.close();
  }
});

test('who and since when stands on the conversation; by hand is as good as by the API', async () => {
  const chat = 'by hand';
  await api.handle({ chat_id: chat, text: 'Hi' });
  await takeOver(chat);
  const [taken] = await sessionsOf(chat);
  expect(taken).toMatchObject({ taken_over_at: expect.any(Date), taken_over_by: null });
  await takeOver(chat);
  expect((await sessionsOf(chat))[0]).toEqual(taken);
  await sql.rows('update chat_sessions set taken_over_at = null where chat_id = $1', [chat]);
  expect((await api.handle({ chat_id: chat, text: 'Hi' })).body.type).toBe('message');
  await sql.rows(
    `update chat_sessions set taken_over_at = now(), taken_over_by = 'ada' where chat_id = $1`,
    [chat],
  );
  expect((await api.handle({ chat_id: chat, text: 'Hi' })).body).toMatchObject(silence);
  await api.post('/v1/chat/reset', { chat_id: chat });
  await api.handle({ chat_id: chat, text: 'Hi' });
  expect((await sessionsOf(chat)).map((session) => session['taken_over_by'])).toEqual([
    'ada',
    'ada',
  ]);
  await handBack(chat);
  expect((await sessionsOf(chat)).map((session) => session['taken_over_at'])).toEqual([null, null]);
});

test('a chat of which nothing is known cannot be taken over, handed back or spoken to', async () => {
  for (const act of [takeOver, handBack, (chat: string) => say(chat, 'Hello')]) {
    expect(await act('nobody')).toMatchObject({ status: 404, body: { code: 'not_found' } });
  }
});

test('what is being answered when the chat is taken over is silenced, and what waits behind it', async () => {
  const chat = 'interrupted';
  await api.handle({ chat_id: chat, text: 'Hi' });
  model.behave({ kind: 'hang', text: 'I think that' });
  const calls = model.requests.length;
  const { events } = await streamHandle(other, { chat_id: chat, text: 'one', message_id: 'm-1' });
  const seen = allEvents(events);
  await eventually(() => expect(model.requests).toHaveLength(calls + 1));
  const waiting = [
    api.handle({ chat_id: chat, text: 'two' }),
    other.handle({ chat_id: chat, text: 'three' }),
  ];
  await eventually(async () => expect(await statesOf(chat)).toContain('received'));
  await takeOver(chat);
  await say(chat, 'Let me take this.');
  expect((await seen).at(-1)).toMatchObject({ event: 'message', data: silence });
  for (const answer of await Promise.all(waiting)) {
    expect(answer).toMatchObject({ status: 200, body: silence });
  }
  expect(await statesOf(chat)).toEqual(['answered', 'silenced', 'silenced', 'silenced']);
  await eventually(() => expect(model.requests.at(-1)?.closedByClient).toBe(true));
  expect(model.requests).toHaveLength(calls + 1);
  const repeated = await api.handle({ chat_id: chat, text: 'one', message_id: 'm-1' });
  expect(repeated.body).toMatchObject({ ...silence, replayed: true });

  model.behave({ kind: 'reply' });
  await handBack(chat);
  await api.handle({ chat_id: chat, text: 'four' });
  const said = lastPrompt().map(({ content }) => content);
  expect(said.toSorted()).toEqual(
    ['Hi', 'Let me take this.', 'echo: Hi', 'four', 'one', 'three', 'two'].toSorted(),
  );
});

test('a message that failed is stored in its place when it comes again', async () => {
  const chat = 'failed before';
  model.behave({ kind: 'status', status: 400 });
  const message = { chat_id: chat, text: 'What is this?', message_id: 'm-1' };
  expect((await api.handle(message)).status).toBe(502);
  await takeOver(chat);
  await say(chat, 'A moment.');
  expect((await api.handle(message)).body).toMatchObject(silence);
  model.behave({ kind: 'reply' });
  await handBack(chat);
  await api.handle({ chat_id: chat, text: 'Well?' });
  expect(lastPrompt().map(({ content }) => content)).toEqual([
    'A moment.',
    'What is this?',
    'Well?',
  ]);
});

test('what was said meanwhile is found later, and can be summarised', async () => {
  const chat = 'remembered';
  await api.handle({ chat_id: chat, text: 'Hi' });
  await takeOver(chat);
  await api.handle({ chat_id: chat, text: 'The wombat is called Bartholomew.' });
  await say(chat, 'I have noted the tambourine.');
  // In two steps, passages and words; a worker would do both.
  await sql.rows('select index_memories(1000, false) from generate_series(1, 2)');
  for (const [query, text] of [
    ['wombat', 'The wombat is called Bartholomew.'],
    ['tambourine', 'I have noted the tambourine.'],
  ]) {
    const { body } = await api.post('/v1/memory/search', { chat_id: chat, query });
    expect(body['hits']).toContainEqual(expect.objectContaining({ text }));
  }
  const [session] = await sessionsOf(chat);
  expect(session).toMatchObject({ messages_since_summary: 4 });
});

test('a refused user is refused, and one whose budget is used up may still speak to a person', async () => {
  const chat = 'limits';
  const strict = await startApi({
    databaseUrl,
    modelUrl: model.url,
    env: { DAILY_TOKEN_BUDGET: '3000', ACCESS: 'allowlist', ALLOWED_USERS: 'spender' },
  });
  try {
    const message = { chat_id: chat, user_id: 'spender', text: 'Hi' };
    expect((await strict.handle(message)).status).toBe(200);
    await sql.rows(`update users set tokens_used = 3000 where id = 'spender'`);
    expect(await strict.handle(message)).toMatchObject({ body: { code: 'budget_exhausted' } });
    await takeOver(chat);
    expect((await strict.handle(message)).body).toMatchObject(silence);
    const stranger = { ...message, user_id: 'stranger' };
    expect(await strict.handle(stranger)).toMatchObject({ body: { code: 'access_denied' } });
  } finally {
    await strict.close();
  }
});

test('whoever speaks at once: no word of the bot is stored while the chat is held, and nothing hangs', async () => {
  model.behave((_, index) => ({ kind: 'reply', delayMs: (index * 37) % 120 }));
  const servers = [api, other];
  const run = async (chat: string) => {
    let sent = 0;
    const talk = () =>
      Promise.all(
        Array.from({ length: 4 }, async () => {
          sent += 1;
          const message = { chat_id: chat, text: `${chat} ${sent}`, message_id: `m-${sent}` };
          const { status, body } = await servers[sent % 2]!.handle(message);
          expect({ status, type: body.type }).toEqual({
            status: 200,
            type: expect.stringMatching(/^(message|silence)$/),
          });
        }),
      );
    await talk();
    for (let round = 0; round < 4; round += 1) {
      const talking = talk();
      if (round % 2 === 1) await api.post('/v1/chat/reset', { chat_id: chat });
      await takeOver(chat);
      const before = await wordsOfTheBot(chat);
      const more = talk();
      await Promise.all([say(chat, 'I'), say(chat, 'am here')]);
      await Promise.all([talking, more]);
      expect(await wordsOfTheBot(chat)).toBe(before);
      await handBack(chat);
    }
    expect((await api.handle({ chat_id: chat, text: 'last' })).body.type).toBe('message');
    const states = await statesOf(chat);
    expect(states).toHaveLength(sent + 1);
    expect(new Set(states)).toEqual(new Set(['answered', 'silenced']));
  };
  await Promise.all(['race-1', 'race-2', 'race-3'].map(run));
  expect(await sql.rows(brokenSessions)).toEqual([]);
}, 60_000);

async function wordsOfTheBot(chat: string): Promise<number> {
  const rows = await sql.rows(
    `select from messages m join chat_sessions s on s.id = m.session_id
      where chat_id = $1 and role = 'assistant' and author is null`,
    [chat],
  );
  return rows.length;
}

function lastPrompt() {
  const [, ...messages] = model.requests.at(-1)?.body.messages ?? [];
  return messages;
}

async function sessionsOf(chat: string) {
  return await sql.rows('select * from chat_sessions where chat_id = $1 order by created_at', [
    chat,
  ]);
}

async function statesOf(chat: string): Promise<string[]> {
  const rows = await sql.rows<{ state: string }>(
    'select state from turns where chat_id = $1 order by id',
    [chat],
  );
  return rows.map(({ state }) => state);
}

async function takeOver(chat: string) {
  return await api.post(`/v1/chats/${chat}/takeover`, {});
}

async function handBack(chat: string) {
  return await api.post(`/v1/chats/${chat}/handback`, {});
}

async function say(chat: string, text: string) {
  return await api.post(`/v1/chats/${chat}/messages`, { text });
}
