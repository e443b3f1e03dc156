import { afterEach, beforeEach, expect, test } from 'vitest';
import { mark, startMarkedModel } from '#test/marked-model.ts';
import type { MarkedModel } from '#test/marked-model.ts';
import { eventually, serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';

let model: MarkedModel;
let chats: ServedChats;

beforeEach(async () => {
  model = await startMarkedModel();
});

afterEach(async () => {
  await chats.close();
  await model.close();
});

async function serve(changes: Record<string, string> = {}): Promise<void> {
  chats = await serveChats({
    LLM_BASE_URL: model.url,
    LLM_MODEL: 'marked',
    SUMMARY_THRESHOLD: '4',
    ...changes,
  });
}

const say = (chat: string, index: number) => chats.say(chat, `${mark(chat, index)} and so on`);

async function getSession(chat: string): Promise<Record<string, unknown>> {
  const [session] = await chats.sql<Record<string, unknown>>(
    `select *, (select count(*)::integer from conversation_summaries where session_id = s.id) as versions
     from chat_sessions s where chat_id = $1`,
    [chat],
  );
  return session ?? {};
}

const hasVersions = (chat: string, count: number) =>
  eventually(
    async () => (await getSession(chat)).versions === count,
    10,
    () => getSession(chat),
  );

const aMoment = () =>
  new Promise((resolve) => {
    setTimeout(resolve, 1_500);
  });

test('the sweep finds quiet and closed conversations, and leaves others alone', async () => {
  await serve({ SUMMARY_IDLE_MINUTES: '10' });
  model.onChat((marker) =>
    marker.includes('failed') ? { kind: 'status', status: 400 } : undefined,
  );
  await Promise.all(
    ['quiet', 'closed', 'lively', 'failed'].map((chat) => say(chat, 0).catch(() => {})),
  );
  await chats.sql(
    `update chat_sessions set is_active = false where chat_id in ('closed', 'failed')`,
  );
  await chats.sql(`update messages set created_at = now() - interval '11 minutes'
    where session_id = (select id from chat_sessions where chat_id = 'quiet')`);
  await chats.sql(`update chat_sessions set unsummarized_since = now() - interval '11 minutes'
    where chat_id = 'quiet'`);
  await chats.startWorker();
  await hasVersions('quiet', 1);
  await hasVersions('closed', 1);
  await aMoment();
  expect(await getSession('quiet')).toMatchObject({ versions: 1, unsummarized_since: null });
  expect(await getSession('lively')).toMatchObject({ versions: 0, messages_since_summary: 2 });
  expect(await getSession('failed')).toMatchObject({ versions: 0, messages_since_summary: 1 });
  expect(model.summaryCalls).toBe(2);
});

test('a refusal of the provider is kept at once and not repeated until its time', async () => {
  await serve();
  await chats.startWorker();
  model.onSummary(() => ({ kind: 'status', status: 401 }));
  await say('c', 0);
  await say('c', 1);
  await eventually(async () => (await getSession('c')).summary_failures === 1, 5);
  expect(await getSession('c')).toMatchObject({
    summary_error: expect.stringMatching(/^marked: HTTP 401.*LLM_API_KEY/),
    summary_failed_at: expect.any(Date),
    versions: 0,
  });
  expect(await chats.get('/health')).toMatchObject({
    status: 'ok',
    summaries: { mode: 'queue', waiting: 1, oldest_waiting_seconds: expect.any(Number), failed: 1 },
  });
  await say('c', 2);
  await aMoment();
  expect(model.summaryCalls).toBe(1);

  model.onSummary(() => undefined);
  await chats.sql('update chat_sessions set summary_retry_at = null');
  await hasVersions('c', 1);
  expect(await getSession('c')).toMatchObject({
    summary_error: null,
    summary_failed_at: null,
    summary_failures: 0,
    messages_since_summary: 0,
  });
});

test.each([
  ['empty', ''],
  ['without a word', '… — !'],
  ['a refusal', 'I cannot do that.'],
  ['far too long', 'word '.repeat(5_000)],
  ['cut off', 'The user and the assistant spoke of many things and then they'],
])('a summary that is %s is refused, said so, and tried again', async (_, text) => {
  await serve();
  await chats.startWorker();
  let calls = 0;
  model.onSummary(() => {
    calls += 1;
    const finishReason = text.endsWith('they') ? 'length' : 'stop';
    return calls === 1 ? { kind: 'reply', text, finishReason } : undefined;
  });
  const long = 'and so on, and on, and on. '.repeat(20);
  await chats.say('c', `${mark('c', 0)} ${long}`);
  await chats.say('c', `${mark('c', 1)} ${long}`);
  // Read once: the next try may come right behind.
  let refused = await getSession('c');
  await eventually(async () => (refused = await getSession('c')).summary_error !== null, 15);
  expect(refused).toMatchObject({ versions: 0, summary_retry_at: null });
  await hasVersions('c', 1);
  expect(await getSession('c')).toMatchObject({ summary_error: null });
  expect(calls).toBe(2);
});

test('a dead provider is left alone', async () => {
  await serve();
  model.onSummary(() => ({ kind: 'status', status: 402 }));
  for (const chat of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']) {
    await say(chat, 0);
    await say(chat, 1);
  }
  await chats.startWorker();
  await eventually(async () => model.summaryCalls >= 5, 10);
  await aMoment();
  // The fifth failure opens the circuit; those that were asked at the same time still fail.
  const { summaryCalls } = model;
  expect(summaryCalls).toBeLessThan(10);
  await say('a', 2);
  await aMoment();
  expect(model.summaryCalls).toBe(summaryCalls);
  expect((await getSession('j')).summary_error).toBeNull();
});

test('a worker that is told to stop gives back what it cannot finish', async () => {
  await serve();
  const worker = await chats.startWorker();
  const asked = Promise.withResolvers<void>();
  model.onSummary(() => {
    asked.resolve();
    return { kind: 'hang' };
  });
  await say('c', 0);
  await say('c', 1);
  await asked.promise;
  await worker.close();
  expect(await getSession('c')).toMatchObject({ versions: 0, summary_error: null });

  model.onSummary(() => undefined);
  await chats.startWorker();
  await hasVersions('c', 1);
});

test('inline: the summary is there when the reply is, and its failure is not the turn’s', async () => {
  await serve({ SUMMARY_MODE: 'inline' });
  model.onSummary(() => ({ kind: 'status', status: 400 }));
  await say('c', 0);
  await say('c', 1);
  expect(await getSession('c')).toMatchObject({ versions: 0, summary_failures: 1 });
  await chats.sql('update chat_sessions set summary_retry_at = null');
  model.onSummary(() => undefined);
  await say('c', 2);
  expect(await getSession('c')).toMatchObject({ versions: 1, messages_since_summary: 0 });
  await say('c', 3);
  await chats.post('/v1/chat/reset', { chat_id: 'c' });
  expect(await getSession('c')).toMatchObject({ versions: 2, messages_since_summary: 0 });
  expect(await chats.get('/health')).toMatchObject({ queue: null, summaries: { mode: 'inline' } });
});

test('off: no summary is written', async () => {
  await serve({ SUMMARY_MODE: 'off' });
  for (let index = 0; index < 5; index += 1) await say('c', index);
  expect(await getSession('c')).toMatchObject({ versions: 0, messages_since_summary: 10 });
  expect(model.summaryCalls).toBe(0);
});

test('no queue of ours stands among the operator’s tables', async () => {
  await serve();
  await chats.startWorker();
  expect(
    await chats.sql(`select table_name from information_schema.tables
      where table_schema = 'public' and table_name ~ 'job|bullmq|queue'`),
  ).toEqual([]);
});
