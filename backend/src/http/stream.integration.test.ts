import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { allEvents, openSql, startApi, streamHandle } from '#test/api.ts';
import type { Sql, StreamEvent } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
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

test('accepted, then deltas, then the message; the deltas are the text', async () => {
  const text = 'Många små  ord,\n\noch 🙂 två rader. ';
  model.behave({ kind: 'reply', text, chunkDelayMs: 10 });
  const { response, events } = await streamHandle(api, { chat_id: 'order', text: 'Hi' });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const all = await allEvents(events);

  const message = all.at(-1);
  expect(names(all)).toEqual(['accepted', ...all.slice(1, -1).map(() => 'delta'), 'message']);
  expect(all.length).toBeGreaterThan(4);
  expect(textOf(all)).toBe(text);
  expect(message?.data).toMatchObject({ text, type: 'message', replayed: false });
  expect(all[0]?.data).toEqual({
    turn_id: message?.data.turn_id,
    session_id: message?.data.session_id,
  });
  expect(await storedReplies('order')).toEqual([text]);
});

test('accepted comes before the model has answered, when the message is stored', async () => {
  model.behave({ kind: 'hang' });
  const hangUp = new AbortController();
  const { events } = await streamHandle(api, { chat_id: 'early', text: 'Hi' }, hangUp.signal);
  const first = await events.next();
  expect(first.value).toMatchObject({ event: 'accepted' });
  expect(await sql.rows(`select state from turns where chat_id = 'early'`)).toEqual([
    { state: 'answering' },
  ]);
  hangUp.abort();
  await api.post('/v1/chat/cancel', { chat_id: 'early' });
});

test.each(['a stream', 'a plain call'])(
  '%s whose caller hangs up: the reply is made, stored, and offered by the outbox',
  async (kind) => {
    const chat_id = `hung up, ${kind}`;
    const message = { chat_id, text: 'Hi', channel: kind };
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
    await vi.waitFor(() => expect(model.requests).toHaveLength(1));
    hangUp.abort();
    await settle();
    hold.resolve();

    const channel = encodeURIComponent(kind);
    const { body } = await api.get<{ deliveries: unknown[] }>(
      `/v1/deliveries?channel=${channel}&wait=10`,
    );
    expect(body.deliveries).toMatchObject([{ chat_id, text: 'echo: Hi' }]);
    expect(model.requests[0]?.closedByClient).toBe(false);
    expect(await storedReplies(chat_id)).toEqual(['echo: Hi']);
  },
);

test('a reply whose caller is there is not offered', async () => {
  const { events } = await streamHandle(api, { chat_id: 'there', text: 'Hi', channel: 'there' });
  await allEvents(events);
  expect((await api.get('/v1/deliveries?channel=there')).body).toEqual({ deliveries: [] });
});

test('a failure after the message is stored is one error event with the problem', async () => {
  model.behave({ kind: 'close-mid-stream', text: 'half an' });
  const { response, events } = await streamHandle(api, { chat_id: 'failed', text: 'Hi' });
  expect(response.status).toBe(200);
  const all = await allEvents(events);
  expect(names(all).filter((name) => name !== 'delta')).toEqual(['accepted', 'error']);
  expect(all.at(-1)?.data).toMatchObject({
    status: 502,
    code: 'model_failed',
    request_id: expect.any(String),
  });
  expect(await storedReplies('failed')).toEqual([]);
});

test.each([
  [{ chat_id: '', text: 'Hi' }, 422, 'validation_failed'],
  [{ chat_id: 'repeated', text: 'other words', message_id: 'm-1' }, 422, 'idempotency_mismatch'],
])('a failure before that is an ordinary problem: %j', async (message, status, code) => {
  await api.handle({ chat_id: 'repeated', text: 'words', message_id: 'm-1' });
  const { response } = await streamHandle(api, message);
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(await response.json()).toMatchObject({ status, code });
});

test('a repeat joins a running stream from its beginning', async () => {
  const hold = Promise.withResolvers<void>();
  model.behave({ kind: 'reply', text: 'one two three four five six', chunkDelayMs: 60 });
  const message = { chat_id: 'joined', text: 'Hi', message_id: 'm-1' };
  const first = await streamHandle(api, message);
  const seen: StreamEvent[] = [];
  const reading = (async () => {
    for await (const event of first.events) {
      seen.push(event);
      if (event.event === 'delta') hold.resolve();
    }
  })();
  await hold.promise;
  const second = await streamHandle(api, message);
  const plain = api.handle(message);
  const joined = await allEvents(second.events);
  await reading;

  expect(names(joined)[0]).toBe('accepted');
  expect(textOf(joined)).toBe('one two three four five six');
  expect(textOf(seen)).toBe('one two three four five six');
  const { replayed: _, ...reply } = seen.at(-1)?.data ?? {};
  expect(joined.at(-1)).toEqual({ event: 'message', data: { ...reply, replayed: true } });
  expect((await plain).body).toEqual({ ...reply, replayed: true });
  expect(model.requests).toHaveLength(1);
});

test('a replay is accepted and answered at once', async () => {
  const message = { chat_id: 'replayed', text: 'Hi', message_id: 'm-1' };
  const { body } = await api.handle(message);
  const { events } = await streamHandle(api, message);
  const all = await allEvents(events);
  expect(names(all).filter((name) => name !== 'delta')).toEqual(['accepted', 'message']);
  expect(all.at(-1)?.data).toEqual({ ...body, replayed: true });
});

test.each([
  ['NUL', 'before\0 after', 'before after'],
  ['half a surrogate pair', 'before \ud83d after', 'before \u{fffd} after'],
])('a model that writes %s is answered all the same', async (kind, written, stored) => {
  model.behave({ kind: 'reply', text: written });
  const { events } = await streamHandle(api, { chat_id: `streamed ${kind}`, text: 'Hi' });
  expect((await allEvents(events)).at(-1)).toMatchObject({
    event: 'message',
    data: { text: stored },
  });
  const { status, body } = await api.handle({ chat_id: `plain ${kind}`, text: 'Hi' });
  expect({ status, text: body.text }).toEqual({ status: 200, text: stored });
  expect(await storedReplies(`plain ${kind}`)).toEqual([stored]);
  expect((await api.handle({ chat_id: `plain ${kind}`, text: 'next' })).status).toBe(200);
});

test('text that tries to break out of its event stays data', async () => {
  const text = 'x\n\nevent: error\ndata: {"code":"evil"}\n\n\r\n: comment';
  model.behave({ kind: 'reply', text });
  const { events } = await streamHandle(api, { chat_id: 'inject', text: 'Hi' });
  const all = await allEvents(events);
  expect(names(all).filter((name) => name !== 'delta')).toEqual(['accepted', 'message']);
  expect(all.at(-1)?.data.text).toBe(text);
});

function names(events: StreamEvent[]): string[] {
  return events.map(({ event }) => event);
}

function textOf(events: StreamEvent[]): string {
  return events.map(({ event, data }) => (event === 'delta' ? data.text : '')).join('');
}

async function storedReplies(chatId: string): Promise<string[]> {
  const rows = await sql.rows<{ content: string }>(
    `select content from messages m join chat_sessions s on s.id = m.session_id
      where chat_id = $1 and role = 'assistant' order by m.id`,
    [chatId],
  );
  return rows.map(({ content }) => content);
}

/** Time for the server to notice that a caller has gone. */
async function settle(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, 200);
  });
}
