import { afterEach, beforeEach, expect, test } from 'vitest';
import { mark, startMarkedModel } from '#test/marked-model.ts';
import type { MarkedModel } from '#test/marked-model.ts';
import { startRedis } from '#test/redis.ts';
import { eventually, serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';

let model: MarkedModel;
let chats: ServedChats;
let sessionId: string;

beforeEach(async () => {
  model = await startMarkedModel();
});

afterEach(async () => {
  await chats.close();
  await model.close();
});

/** A conversation of three turns, far from its first summary. */
async function serve(changes: Record<string, string> = {}): Promise<void> {
  chats = await serveChats({
    LLM_BASE_URL: model.url,
    LLM_MODEL: 'marked',
    SUMMARY_THRESHOLD: '100',
    ...changes,
  });
  for (const index of [0, 1, 2]) await chats.say('c', `${mark('c', index)} and so on`);
  sessionId = String((await getSession())['id']);
}

async function getSession(): Promise<Record<string, unknown>> {
  const [session] = await chats.sql<Record<string, unknown>>(
    `select *, array(select content from conversation_summaries
      where session_id = s.id order by version) as summaries from chat_sessions s`,
  );
  return session ?? {};
}

const ask = (what: 'summarize' | 'rebuild') => chats.post(`/v1/sessions/${sessionId}/${what}`, {});

const becomes = (expected: Record<string, unknown>) =>
  eventually(
    async () => {
      const session = await getSession();
      return Object.entries(expected).every(([key, value]) => session[key] === value);
    },
    20,
    getSession,
  );

const done = { summary_request: null, summary_requested_at: null, summary_error: null };

test('a session is summarised when an operator asks, long before its time', async () => {
  await serve();
  await chats.startWorker();
  expect(await ask('summarize')).toEqual({ status: 'queued' });
  await becomes({ ...done, messages_since_summary: 0 });
  expect((await getSession())['summaries']).toHaveLength(1);
  // There is nothing new: it is done all the same.
  await ask('summarize');
  await becomes(done);
  expect((await getSession())['summaries']).toHaveLength(1);
});

test('a summary is written anew from all messages, as a further version', async () => {
  await serve();
  await chats.startWorker();
  await ask('summarize');
  await becomes({ ...done, messages_since_summary: 0 });
  await chats.sql(`update conversation_summaries set content = 'Something wrong altogether.'`);
  expect(await ask('rebuild')).toEqual({ status: 'queued' });
  await becomes(done);
  const summaries = (await getSession())['summaries'];
  expect(summaries).toEqual(['Something wrong altogether.', expect.any(String)]);
  expect(summaries).toEqual([
    expect.any(String),
    expect.stringContaining(`${mark('c', 0)} ${mark('c', 0).replace(']', 'r]')}`),
  ]);
});

test('the request outlives the queue', async () => {
  const redis = await startRedis();
  try {
    await serve({ REDIS_URL: redis.url });
    const waiting = async () => Object(await chats.get('/health'))['queue']['waiting'];
    await eventually(async () => (await waiting()) === 0, 20);
    await ask('rebuild');
    await ask('summarize');
    expect(await getSession()).toMatchObject({ summary_request: 'rebuild' });
    await eventually(async () => (await waiting()) === 1, 20);
    await redis.forgetAll();
    await chats.startWorker();
    await becomes({ ...done, messages_since_summary: 0 });
  } finally {
    await redis.stop();
  }
});

test('a failure stands on the session; asking again tries again at once', async () => {
  await serve();
  await chats.startWorker();
  model.onSummary(() => ({ kind: 'status', status: 401 }));
  await ask('summarize');
  await becomes({ summary_failures: 1 });
  expect(await getSession()).toMatchObject({
    summary_request: 'summarize',
    summary_error: expect.stringContaining('HTTP 401'),
    summary_retry_at: expect.any(Date),
  });
  model.onSummary(() => undefined);
  await ask('summarize');
  await becomes({ ...done, summary_failures: 0, messages_since_summary: 0 });
});

test('without a queue the request itself does it', async () => {
  await serve({ SUMMARY_MODE: 'inline' });
  expect(await ask('summarize')).toEqual({ status: 'done' });
  expect(await getSession()).toMatchObject({ ...done, messages_since_summary: 0 });
  model.onSummary(() => ({ kind: 'status', status: 401 }));
  await ask('rebuild');
  expect(await getSession()).toMatchObject({
    summary_request: 'rebuild',
    summary_error: expect.stringContaining('HTTP 401'),
  });
});

test('where summaries are off it says so, and a session that is not there is 404', async () => {
  await serve({ SUMMARY_MODE: 'off' });
  await expect(ask('summarize')).rejects.toThrow(/409 .*summaries_off.*SUMMARY_MODE/);
  await expect(ask('rebuild')).rejects.toThrow(/409 .*summaries_off/);
  await chats.close();
  await serve();
  sessionId = '3b241101-e2bb-4255-8caf-4136c566a962';
  await expect(ask('rebuild')).rejects.toThrow(/404 .*not_found/);
});
