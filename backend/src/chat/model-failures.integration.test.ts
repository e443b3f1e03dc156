import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allEvents, openSql, startApi, streamHandle } from '#test/api.ts';
import type { HandleBody, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';
import type { FakeModelBehaviour } from '#test/fake-model-response.ts';

const TIMEOUT_MS = 4_000;

const failures: Record<string, { behaviour: FakeModelBehaviour; status: number; code: string }> = {
  'rate limit': { behaviour: { kind: 'status', status: 429 }, status: 502, code: 'model_failed' },
  'rate limit for longer than a call may take': {
    behaviour: { kind: 'status', status: 429, headers: { 'retry-after': '3600' } },
    status: 502,
    code: 'model_failed',
  },
  'server error': { behaviour: { kind: 'status', status: 500 }, status: 502, code: 'model_failed' },
  'refused request': {
    behaviour: { kind: 'status', status: 400 },
    status: 502,
    code: 'model_failed',
  },
  silence: { behaviour: { kind: 'hang' }, status: 504, code: 'model_timeout' },
  'silence after some words': {
    behaviour: { kind: 'hang', text: 'half an answer' },
    status: 504,
    code: 'model_timeout',
  },
  'connection closed in the middle': {
    behaviour: { kind: 'close-mid-stream', text: 'half an answer' },
    status: 502,
    code: 'model_failed',
  },
  'answer cut off politely': {
    behaviour: { kind: 'close-mid-stream', text: 'half an answer', politely: true },
    status: 502,
    code: 'model_failed',
  },
  'malformed JSON': { behaviour: { kind: 'malformed-json' }, status: 502, code: 'model_failed' },
  'empty text': { behaviour: { kind: 'empty' }, status: 502, code: 'model_failed' },
  'white space only': {
    behaviour: { kind: 'reply', text: ' \n\t ' },
    status: 502,
    code: 'model_failed',
  },
};

/** What the model does for the prompts that end with these words; any other is echoed. */
const behaviours = new Map<string, FakeModelBehaviour>();
let model: FakeModel;
let sql: Sql;
let api: Awaited<ReturnType<typeof startApi>>;

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  model = await startFakeModel();
  model.behave(
    ({ messages }) => behaviours.get(messages.at(-1)?.content ?? '') ?? { kind: 'reply' },
  );
  sql = openSql(databaseUrl);
  const env = { LLM_TIMEOUT_MS: String(TIMEOUT_MS), RAG_ENABLED: 'false' };
  api = await startApi({ databaseUrl, modelUrl: model.url, env });
});

afterAll(async () => {
  await api.close();
  await sql.close();
  await model.close();
});

type Send = (body: HandleBody) => Promise<{ status: number; body: Record<string, unknown> }>;

const senders: Record<string, Send> = {
  'a plain call': async (body) => {
    const answer = await api.post('/v1/chat/handle', body);
    if (answer.status !== 200) {
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
    }
    return answer;
  },
  /** A problem that comes after the message was stored is the last event of a stream. */
  'a stream': async (body) => {
    const { response, events } = await streamHandle(api, body);
    expect(response.status).toBe(200);
    const all = await allEvents(events);
    expect(all[0]?.event).toBe('accepted');
    expect(all.slice(1, -1).every(({ event }) => event === 'delta')).toBe(true);
    const last = all.at(-1);
    expect(['message', 'error']).toContain(last?.event);
    return { status: last?.event === 'error' ? Number(last.data.status) : 200, body: last!.data };
  },
};

describe.concurrent.each(Object.entries(senders))('%s', (caller, send) => {
  test.concurrent.each(Object.entries(failures))(
    '%s',
    async (name, failure) => {
      const chat_id = `${caller}, ${name}`;
      const message = (text: string) => ({
        user_id: 'ada',
        chat_id,
        text: `${text} in ${chat_id}`,
        message_id: text,
      });
      const failing = message('the failing one');
      const first = message('first');
      await send(first);

      behaviours.set(failing.text, failure.behaviour);
      const startedAt = performance.now();
      const failed = await send(failing);
      expect(failed).toMatchObject({
        status: failure.status,
        body: { code: failure.code, status: failure.status, request_id: expect.any(String) },
      });
      expect(performance.now() - startedAt).toBeLessThan(TIMEOUT_MS + 5_000);
      expect(JSON.stringify(failed.body)).not.toContain('the failing one');
      expect(await contentsOf(chat_id)).toEqual([first.text, echo(first), failing.text]);
      expect(await turnOf(chat_id, failing.message_id)).toMatchObject({
        state: 'failed',
        error_code: failure.code,
        reply_message_id: null,
        lease_expires_at: null,
      });

      const between = message('between');
      expect((await send(between)).status).toBe(200);
      expect(promptOf(between.text)).toEqual([first.text, echo(first), between.text]);

      behaviours.delete(failing.text);
      expect(await send(failing)).toMatchObject({ status: 200, body: { text: echo(failing) } });
      expect(promptOf(failing.text)).toEqual([
        first.text,
        echo(first),
        between.text,
        echo(between),
        failing.text,
      ]);
      const all = [first, between, failing].flatMap((sent) => [sent.text, echo(sent)]);
      expect(await contentsOf(chat_id)).toEqual(all);
      expect(await turnOf(chat_id, failing.message_id)).toMatchObject({
        state: 'answered',
        error_code: null,
      });

      const last = message('last');
      await send(last);
      expect(promptOf(last.text)).toEqual([...all, last.text]);
    },
    60_000,
  );
});

test('a provider’s error neither repeats the conversation nor the key', async () => {
  behaviours.set('my secret is 4711', {
    kind: 'status',
    status: 400,
    body: { error: { message: 'cannot read "my secret is 4711" with Bearer sk-123' } },
  });
  const { body } = await api.handle({ chat_id: 'leak', text: 'my secret is 4711' });
  expect(body.code).toBe('model_failed');
  expect(JSON.stringify(body)).not.toMatch(/4711|sk-123/);
});

function echo({ text }: { text: string }): string {
  return `echo: ${text}`;
}

/** What the model was last sent for these words, without the instruction. */
function promptOf(text: string): string[] {
  const request = model.requests.findLast(({ body }) => body.messages.at(-1)?.content === text);
  return request?.body.messages.slice(1).map(({ content }) => content) ?? [];
}

async function contentsOf(chatId: string): Promise<string[]> {
  const rows = await sql.rows<{ content: string }>(
    `select content from messages m join chat_sessions s on s.id = m.session_id
      where chat_id = $1 order by m.id`,
    [chatId],
  );
  return rows.map(({ content }) => content);
}

async function turnOf(chatId: string, messageId: string) {
  const [turn] = await sql.rows(
    'select * from turns where chat_id = $1 and client_message_id = $2',
    [chatId, messageId],
  );
  return turn;
}
