import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { mark, startMarkedModel } from '#test/marked-model.ts';
import type { MarkedModel } from '#test/marked-model.ts';
import { brokenSessions, eventually, serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';

vi.setConfig({ testTimeout: 120_000 });

const LIMIT = 200;

let model: MarkedModel;
let chats: ServedChats;
let spoken = 0;

beforeEach(async () => {
  model = await startMarkedModel();
});

afterEach(async () => {
  await chats.close();
  await model.close();
});

async function serve(changes: Record<string, string>): Promise<void> {
  chats = await serveChats({ LLM_BASE_URL: model.url, LLM_MODEL: 'marked', ...changes });
  spoken = 0;
}

/** Says one thing, and returns its marker with what the context log says was left out. */
async function sayNext(): Promise<{ marker: string; leftOut: number }> {
  const marker = mark('chat', spoken++);
  const { turn_id: turnId } = await chats.say('chat', `${marker} and so on`);
  const { context } = await chats.get(`/v1/turns/${String(turnId)}/context`);
  return { marker, leftOut: Object(context).left_out.messages };
}

test('a backlog of 1,000 messages is worked off version by version, and no prompt has a hole', async () => {
  await serve({
    SUMMARY_MAX_TOKENS: '100000',
    CONTEXT_TOKEN_BUDGET: '1000000',
    SUMMARY_SWEEP_SECONDS: '3600',
  });
  model.onSummary(async () => {
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    return undefined;
  });
  for (let turn = 0; turn < 500; turn += 1) await sayNext();
  expect(await chats.sql('select messages_since_summary as count from chat_sessions')).toEqual([
    { count: 1_000 },
  ]);

  await chats.startWorker();
  // Talked to at first, then left alone: it goes on by itself.
  await eventually(async () => {
    await sayNext();
    return (await chats.sql('select from conversation_summaries')).length >= 3;
  }, 30);
  await eventually(async () => {
    const behind = await chats.sql('select from chat_sessions where messages_since_summary >= 24');
    return behind.length === 0;
  }, 30);
  await sayNext();
  expect(model.violations).toEqual([]);
  expect(await chats.sql(brokenSessions)).toEqual([]);
  const sizes = await chats.sql<{ size: number }>(`
    select (select count(*)::integer from messages m where m.id > v.before and m.id <= v.last_message_id) as size
    from (select *, lag(last_message_id, 1, 0) over (order by version) as before
      from conversation_summaries) as v order by version`);
  expect(sizes.length).toBeGreaterThanOrEqual(1_000 / LIMIT);
  expect(Math.max(...sizes.map(({ size }) => size))).toBe(LIMIT);
});

test('what the token budget leaves out is counted, and asks for a summary at once', async () => {
  await serve({ SUMMARY_THRESHOLD: '1000', CONTEXT_TOKEN_BUDGET: '600' });
  let leftOut = 0;
  for (let turn = 0; turn < 40; turn += 1) {
    const said = await sayNext();
    ({ leftOut } = said);
    expect(model.missing.get(said.marker)).toBe(leftOut);
  }
  expect(leftOut).toBeGreaterThan(0);
  await eventually(async () => Object((await chats.get('/health')).queue).waiting === 1, 5);

  model.onSummary(() => ({
    kind: 'reply',
    text: 'They spoke of many things, and so on, and so on.',
  }));
  await chats.startWorker();
  await eventually(async () => (await sayNext()).leftOut === 0, 10);
});
