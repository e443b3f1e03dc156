import { afterAll, beforeAll, expect, test } from 'vitest';
import { allEvents, openSql, startApi, streamHandle } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

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

afterAll(async () => {
  await Promise.all([api.close(), other.close()]);
  await sql.close();
  await model.close();
});

const silence = { type: 'silence', text: '', reply_message_id: null, delivery: null };

test('while an operator holds the chat the bot is silent, then knows what was said', async () => {
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
  expect(await say(chat, 'It comes tomorrow.')).toMatchObject({
    status: 201,
    body: { message_id: expect.stringMatching(/^\d+$/), delivery: 'pending' },
  });
  expect(model.requests).toHaveLength(calls);

  expect(await handBack(chat)).toMatchObject({
    status: 200,
    body: { status: 'ok', taken_over: false },
  });
  expect((await api.handle({ chat_id: chat, text: 'Thanks' })).body.type).toBe('message');
  expect(model.requests.at(-1)?.body.messages.slice(1)).toEqual([
    { role: 'user', content: 'Where is my parcel?' },
    { role: 'assistant', content: 'echo: Where is my parcel?' },
    { role: 'user', content: 'Hello?' },
    { role: 'user', content: 'Anybody?' },
    { role: 'assistant', content: 'It comes tomorrow.' },
    { role: 'user', content: 'Thanks' },
  ]);
});

test('an answer that is being written when the chat is taken over is dropped', async () => {
  const chat = 'interrupted';
  await api.handle({ chat_id: chat, text: 'Hi' });
  model.behave({ kind: 'hang' });
  const calls = model.requests.length;
  const answers = [
    api.handle({ chat_id: chat, text: 'one' }),
    other.handle({ chat_id: chat, text: 'two' }),
  ];
  await eventually(() => expect(model.requests).toHaveLength(calls + 1));
  await takeOver(chat);
  for (const answer of await Promise.all(answers)) {
    expect(answer).toMatchObject({ status: 200, body: silence });
  }
  expect(model.requests).toHaveLength(calls + 1);
  model.behave({ kind: 'reply' });
  await handBack(chat);
  await api.handle({ chat_id: chat, text: 'three' });
  const prompt = model.requests.at(-1)?.body.messages.map(({ content }) => content);
  expect(prompt?.toSorted()).toEqual(expect.arrayContaining(['one', 'three', 'two']));
});

async function takeOver(chat: string) {
  return await api.post(`/v1/chats/${chat}/takeover`, {});
}

async function handBack(chat: string) {
  return await api.post(`/v1/chats/${chat}/handback`, {});
}

async function say(chat: string, text: string) {
  return await api.post(`/v1/chats/${chat}/messages`, { text });
}
