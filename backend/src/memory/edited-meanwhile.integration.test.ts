import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { mark, startMarkedModel } from '#test/marked-model.ts';
import type { MarkedModel } from '#test/marked-model.ts';
import { brokenSessions, eventually, serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';

let model: MarkedModel;
let chats: ServedChats;
let tests = 0;
let chat: string;
let spoken: number;

beforeAll(async () => {
  model = await startMarkedModel();
  chats = await serveChats({
    LLM_BASE_URL: model.url,
    LLM_MODEL: 'marked',
    SUMMARY_THRESHOLD: '4',
  });
  await chats.startWorker();
});

afterAll(async () => {
  await chats.close();
  await model.close();
});

beforeEach(() => {
  chat = `c${tests++}`;
  spoken = 0;
  model.onSummary(() => undefined);
});

async function say(): Promise<void> {
  await chats.say(chat, `${mark(chat, spoken++)} and so on`);
}

interface Version {
  version: number;
  content: string;
  last_message_id: string;
}

async function listVersions(): Promise<Version[]> {
  return await chats.sql(
    `select version, content, last_message_id from conversation_summaries
     where session_id in (select id from chat_sessions where chat_id = $1) order by version`,
    [chat],
  );
}

const hasVersions = (count: number) =>
  eventually(async () => (await listVersions()).length === count, 10);

/** Holds the next summary in the model until released; collects the text of every one that is asked for. */
function holdSummaries() {
  const begun = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const asked: string[] = [];
  model.onSummary(async (body) => {
    asked.push(body.messages.map(({ content }) => content).join('\n'));
    begun.resolve();
    await released.promise;
    return undefined;
  });
  return { begun: begun.promise, release: released.resolve, asked };
}

const editSummary = `update conversation_summaries set content = content || ' The user is called Ada.'
  where session_id = (select id from chat_sessions where chat_id = $1)`;

test('an edited summary is in the next prompt, and the next version builds on it', async () => {
  await say();
  await say();
  await hasVersions(1);
  await chats.sql(editSummary, [chat]);

  const prompts: string[] = [];
  model.onChat((_, body) => {
    prompts.push(JSON.stringify(body.messages));
    return undefined;
  });
  const { asked, release } = holdSummaries();
  release();
  await say();
  await say();
  await hasVersions(2);
  expect(prompts).toHaveLength(2);
  for (const prompt of prompts) expect(prompt).toContain('The user is called Ada.');
  expect(asked).toEqual([expect.stringContaining('The user is called Ada.')]);
});

test('an edit while the next version is written starts it over from the edited words', async () => {
  await say();
  await say();
  await hasVersions(1);
  const { begun, release, asked } = holdSummaries();
  await say();
  await say();
  await begun;
  await chats.sql(editSummary, [chat]);
  release();
  await hasVersions(2);
  expect(asked).toHaveLength(2);
  expect(asked[0]).not.toContain('Ada');
  expect(asked[1]).toContain('The user is called Ada.');
  expect((await listVersions())[0]?.content).toContain('The user is called Ada.');
});

test('an edit that is still open when the next version is stored is waited for', async () => {
  await say();
  await say();
  await hasVersions(1);
  const { begun, release, asked } = holdSummaries();
  await say();
  await say();
  await begun;
  const edited = chats.sql(`${editSummary} returning pg_sleep(0.4)`, [chat]);
  await chats.sql('select pg_sleep(0.1)');
  release();
  await edited;
  await hasVersions(2);
  expect(asked).toHaveLength(2);
  expect(asked[1]).toContain('The user is called Ada.');
});

const newestUserMessage = `(select max(id) from messages where role = 'user'
  and session_id = (select id from chat_sessions where chat_id = $1))`;

test.each([
  ['deleted', `delete from messages where id = ${newestUserMessage}`],
  ['edited', `update messages set content = 'Something else' where id = ${newestUserMessage}`],
])('a message that is %s while it is summarised is not in the summary', async (_, change) => {
  const { begun, release, asked } = holdSummaries();
  await say();
  await say();
  await begun;
  await chats.sql(change, [chat]);
  release();
  await hasVersions(1);
  expect(asked).toHaveLength(2);
  expect((await listVersions())[0]?.content).toContain(mark(chat, 0));
  expect((await listVersions())[0]?.content).not.toContain(mark(chat, 1));
  expect(await chats.sql(brokenSessions)).toEqual([]);
});

test('a conversation that is reset while it is summarised keeps its summary, and gets a last one', async () => {
  const { begun, release } = holdSummaries();
  await say();
  await say();
  await begun;
  await say();
  await chats.post('/v1/chat/reset', { chat_id: chat });
  model.forget(chat);
  await say();
  release();
  await hasVersions(2);
  const [closed, open] = await chats.sql<object>(
    `select is_active, messages_since_summary as left,
       (select count(*)::integer from conversation_summaries v where v.session_id = s.id) as versions
     from chat_sessions s where chat_id = $1 order by created_at`,
    [chat],
  );
  expect(closed).toEqual({ is_active: false, left: 0, versions: 2 });
  expect(open).toEqual({ is_active: true, left: 2, versions: 0 });
});

test('a conversation that is erased while it is summarised stays erased', async () => {
  const { begun, release, asked } = holdSummaries();
  await say();
  await say();
  await begun;
  await chats.post('/v1/chat/forget', { chat_id: chat });
  release();
  await eventually(async () => Object((await chats.get('/health')).queue).active === 0, 5);
  expect(await listVersions()).toEqual([]);
  expect(asked).toHaveLength(1);
});

test('messages that arrive while a summary is written still count', async () => {
  const { begun, release } = holdSummaries();
  await say();
  await say();
  await begun;
  await say();
  release();
  await hasVersions(1);
  expect(
    await chats.sql('select messages_since_summary as left from chat_sessions where chat_id = $1', [
      chat,
    ]),
  ).toEqual([{ left: 2 }]);
});
