import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { allEvents, startApi, streamHandle } from '#test/api.ts';
import type { ApiClient, LogLine } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

const log: LogLine[] = [];
let databaseUrl: string;
let model: FakeModel;
let api: ApiClient & { close(): Promise<void> };

beforeAll(async () => {
  ({ url: databaseUrl } = await createTestDatabase());
  model = await startFakeModel();
  api = await startApi({ databaseUrl, modelUrl: model.url }, log);
});

beforeEach(() => {
  log.length = 0;
  model.requests.length = 0;
  const usage = { prompt_tokens: 60, completion_tokens: 40 };
  model.behave({ kind: 'reply', text: 'a secret answer', usage });
});

afterAll(async () => {
  await api.close();
  await model.close();
});

const request = {
  msg: 'request',
  method: 'POST',
  route: '/v1/chat/handle',
  status: 200,
  request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
  duration_ms: expect.any(Number),
};
const answered = {
  session_id: expect.any(String),
  attempt: 1,
  model: 'fake',
  finish_reason: 'stop',
  latency_ms: expect.any(Number),
  prompt_tokens: 60,
  completion_tokens: 40,
  window_messages: 0,
  left_out: 0,
};

test('a turn is one line, and no word of it is in it', async () => {
  const { body } = await api.handle({ chat_id: 'plain', text: 'a secret question' });
  await eventually(() => expect(log).toHaveLength(1));
  const { turn_id } = body;
  expect(log).toEqual([expect.objectContaining({ ...request, ...answered, turn_id })]);
  expect(JSON.stringify(log)).not.toContain('secret');
});

test('so is a streamed one, when its stream has ended', async () => {
  const { events } = await streamHandle(api, { chat_id: 'streamed', text: 'Hi' });
  const { turn_id } = (await allEvents(events)).at(-1)?.data ?? {};
  await eventually(() => expect(log).toHaveLength(1));
  expect(log).toEqual([expect.objectContaining({ ...request, ...answered, turn_id })]);
});

test('a response names its request as the caller does, or by an id of ours', async () => {
  const ask = async (id: string, chat_id: string, accept = 'application/json') => {
    const body = { chat_id, user_id: 'ada', text: 'Hi' };
    const headers = { 'x-request-id': id, accept };
    const response = await api.post('/v1/chat/handle', body, { headers });
    return { ...response, id: response.headers.get('x-request-id') };
  };
  expect((await ask('mine_1-=', 'named')).id).toBe('mine_1-=');
  expect((await ask('streamed', 'named', 'text/event-stream')).id).toBe('streamed');
  expect(await ask('refused', '')).toMatchObject({
    id: 'refused',
    body: { request_id: 'refused' },
  });
  const strange = ['', 'two words', 'ä', 'x'.repeat(256)];
  for (const id of strange) expect((await ask(id, 'named')).id).toMatch(/^[0-9a-f-]{36}$/);
  await eventually(() => expect(log).toHaveLength(3 + strange.length));
  const ids = log.map(({ request_id }) => request_id);
  expect(ids.slice(0, 3)).toEqual(['mine_1-=', 'streamed', 'refused']);
  expect(new Set(ids).size).toBe(ids.length);
});

test('of two callers one tells of the turn', async () => {
  const message = { chat_id: 'two', text: 'Hi', message_id: 'm-1' };
  model.behave({ kind: 'reply', delayMs: 200 });
  const [{ body }] = await Promise.all([api.handle(message), api.handle(message)]);
  await eventually(() => expect(log).toHaveLength(2));
  for (const line of log) expect(line).toMatchObject({ ...request, turn_id: body.turn_id });
  expect(log.filter((line) => 'model' in line)).toHaveLength(1);
});

test.each(['a stream', 'a plain call'])(
  '%s whose caller hangs up: its turn has a line of its own',
  async (kind) => {
    const message = { chat_id: `hung up, ${kind}`, text: 'Hi' };
    const hold = Promise.withResolvers<void>();
    model.behave(async () => {
      await hold.promise;
      return { kind: 'reply' };
    });
    const hangUp = new AbortController();
    const call =
      kind === 'a stream'
        ? streamHandle(api, message, hangUp.signal)
        : api.post('/v1/chat/handle', { user_id: 'ada', ...message }, { signal: hangUp.signal });
    call.catch(() => {});
    await eventually(() => expect(model.requests).toHaveLength(1));
    hangUp.abort();
    await settle();
    hold.resolve();

    await eventually(() => expect(log).toHaveLength(2));
    const own = log.find(({ msg }) => msg === 'turn answered');
    const { prompt_tokens: _, completion_tokens: __, ...facts } = answered;
    expect(own).toMatchObject(facts);
    const { request_id, turn_id } = own ?? {};
    const line = log.find(({ msg }) => msg === 'request');
    expect(line).toMatchObject({ ...request, request_id, turn_id });
    expect(line).not.toHaveProperty('model');
  },
);

test('a summary that a request leads to is told with the request’s id', async () => {
  const lines: LogLine[] = [];
  const env = { SUMMARY_MODE: 'inline' };
  const inline = await startApi({ databaseUrl, modelUrl: model.url, env }, lines);
  const { body } = await inline.handle({ chat_id: 'summarised', text: 'Hi' });
  const ask = (id: string, path: string, what: object) =>
    inline.post(path, what, { headers: { 'x-request-id': id } });
  await ask('asked', `/v1/sessions/${body.session_id}/summarize`, {});
  await inline.handle({ chat_id: 'summarised', text: 'And now?' });
  await ask('reset', '/v1/chat/reset', { chat_id: 'summarised' });
  await inline.close();
  const told = lines.filter(({ msg }) => msg === 'summary written');
  expect(told.map(({ request_id: id }) => id)).toEqual(['asked', 'reset']);
});

test('no line is lost when the server is told to stop', async () => {
  const last: LogLine[] = [];
  const stopping = await startApi({ databaseUrl, modelUrl: model.url }, last);
  model.behave({ kind: 'reply', delayMs: 300 });
  const call = stopping.handle({ chat_id: 'last, plain', text: 'Hi' });
  const { events } = await streamHandle(stopping, { chat_id: 'last, streamed', text: 'Hi' });
  const stream = allEvents(events);
  await eventually(() => expect(model.requests).toHaveLength(2));
  await stopping.close();
  expect(last.filter(({ msg }) => msg === 'request')).toEqual([
    expect.objectContaining({ ...request, finish_reason: 'stop' }),
    expect.objectContaining({ ...request, finish_reason: 'stop' }),
  ]);
  await Promise.all([call, stream]);
});

/** Until the server has noticed what its callers did. */
async function settle(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, 100);
  });
}
