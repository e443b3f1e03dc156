import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSql, startApi } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

const LIMIT = 3;

let markers = 0;
const mark = (words: string) => `⟦${(markers += 1)}⟧ ${words}`;
const markersIn = (text: string) => text.match(/⟦\d+⟧/g) ?? [];

let model: FakeModel;
let sql: Sql;
let apis: Awaited<ReturnType<typeof startApi>>[];

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  model = await startFakeModel();
  model.behave(() => ({ kind: 'reply', text: mark('reply'), delayMs: Math.random() * 10 }));
  sql = openSql(databaseUrl);
  const env = {
    SHORT_HISTORY_LIMIT: String(LIMIT),
    CONTEXT_TOKEN_BUDGET: '1000000',
    RAG_ENABLED: 'false',
  };
  const options = { databaseUrl, modelUrl: model.url, env };
  apis = await Promise.all([startApi(options), startApi(options)]);
});

afterAll(async () => {
  await Promise.all(apis.map((api) => api.close()));
  await sql.close();
  await model.close();
});

test('no prompt has a hole or a stranger in it while everything happens at once', async () => {
  const chats = ['one', 'two', 'three', 'four'];
  await Promise.all(
    chats.flatMap((chat) => [
      ...apis.flatMap((api) => [1, 2, 3].map(() => times(8, () => say(api, chat)))),
      times(25, () => insertByHand(chat)),
      times(25, () => writeSummary(chat)),
      times(4, async () => {
        await pause(150);
        await apis[0]?.post('/v1/chat/reset', { chat_id: chat });
      }),
    ]),
  );
  const turns = await sql.rows<Turn>(
    `select t.session_id, t.user_message_id, m.content,
        coalesce((t.context #>> '{summary,last_message_id}')::bigint, 0)::text as watermark,
        c.content as summary, coalesce(t.context #>> '{left_out,messages}', '0') as left_out
      from turns t join messages m on m.id = t.user_message_id
      left join conversation_summaries c on c.id::text = t.context #>> '{summary,id}'
      where state = 'answered'`,
  );
  expect(turns).toHaveLength(4 * 6 * 8);
  for (const turn of turns) await expectWholePrompt(turn);
  expect(new Set(turns.map(({ watermark }) => watermark)).size).toBeGreaterThan(10);
}, 60_000);

interface Turn {
  session_id: string;
  user_message_id: string;
  content: string;
  watermark: string;
  summary: string | null;
  left_out: string;
}

/** Messages of a session appear in the order of their ids, so what a prompt could hold is known later too. */
async function expectWholePrompt(turn: Turn): Promise<void> {
  const before = await sql.rows<{ content: string; after: boolean }>(
    `select content, id > $3 as after from messages
      where session_id = $1 and id < $2 order by id`,
    [turn.session_id, turn.user_message_id, turn.watermark],
  );
  const after = before.filter((message) => message.after).length;
  const window = before.slice(before.length - Math.max(after, Math.min(LIMIT, before.length)));
  const expected = [turn.summary ?? '', ...window.map(({ content }) => content), turn.content];
  const sent = model.requests.find(({ body }) => body.messages.at(-1)?.content === turn.content);
  expect(sent?.body.messages.flatMap(({ content }) => markersIn(content))).toEqual(
    expected.flatMap(markersIn),
  );
  expect(turn.left_out).toBe('0');
}

async function say(api: (typeof apis)[number], chat_id: string): Promise<void> {
  const { status, body } = await api.handle({ chat_id, text: mark('question') });
  expect(status, JSON.stringify(body)).toBe(200);
}

async function insertByHand(chat: string): Promise<void> {
  await pause(20);
  await sql.rows(
    `insert into messages (session_id, role, content)
      select id, 'user', $2 from chat_sessions where chat_id = $1 and is_active`,
    [chat, mark('by hand')],
  );
}

async function writeSummary(chat: string): Promise<void> {
  await pause(30);
  await sql
    .rows(
      `insert into conversation_summaries (session_id, version, content, last_message_id)
        select s.id, coalesce(c.version, 0) + 1, $2, coalesce(c.last_message_id, 0)
            + round(random() * (s.last_message_id - coalesce(c.last_message_id, 0)))
        from chat_sessions s left join lateral (select version, last_message_id
          from conversation_summaries where session_id = s.id order by version desc limit 1) c on true
        where s.chat_id = $1 and s.is_active`,
      [chat, mark('summary')],
    )
    .catch((error: unknown) => {
      // The conversation went on between reading and writing.
      if (!/is not the next one|must lie between/.test(String(error))) throw error;
    });
}

async function times(count: number, work: () => Promise<void>): Promise<void> {
  for (let index = 0; index < count; index += 1) await work();
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, Math.random() * 2 * ms);
  });
}
