import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSql, startApi } from '#test/api.ts';
import type { ApiClient, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';

/** Every text has a marker of its own, so that a prompt tells exactly what is in it. */
let markers = 0;
const mark = (words: string) => `⟦${(markers += 1)}⟧ ${words}`;
const markersIn = (text: string) => text.match(/⟦\d+⟧/g) ?? [];

/** The model fails for prompts that end with one of these texts. */
const failing = new Set<string>();
let model: FakeModel;
let sql: Sql;
let apis: { limit: number; budget: number; api: Awaited<ReturnType<typeof startApi>> }[];

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  model = await startFakeModel();
  model.behave(({ messages }) =>
    failing.has(messages.at(-1)?.content ?? '')
      ? { kind: 'status', status: 400 }
      : { kind: 'reply', text: mark('reply') },
  );
  sql = openSql(databaseUrl);
  const settings = [
    { limit: 8, budget: 100_000 },
    { limit: 3, budget: 100_000 },
    { limit: 1, budget: 100_000 },
    { limit: 4, budget: 120 },
  ];
  apis = await Promise.all(
    settings.map(async ({ limit, budget }) => {
      const env = {
        SHORT_HISTORY_LIMIT: String(limit),
        CONTEXT_TOKEN_BUDGET: String(budget),
        SYSTEM_PROMPT: 'Answer.',
        RAG_ENABLED: 'false',
      };
      return { limit, budget, api: await startApi({ databaseUrl, modelUrl: model.url, env }) };
    }),
  );
});

afterAll(async () => {
  await Promise.all(apis.map(({ api }) => api.close()));
  await sql.close();
  await model.close();
});

interface ChatState {
  id: string;
  /** Messages whose turns failed, to be tried again. */
  failed: { text: string; message_id: string }[];
  /** An operator holds it. */
  held: boolean;
}

/** What a step may look at; `pick` chooses, from 0 up to 1, among what is there. */
interface World {
  api: ApiClient;
  limit: number;
  budget: number;
  chat: ChatState;
  pick: number;
}

const steps = {
  say: async (world: World) => {
    await sayAndCheck(world, { text: mark('question'), message_id: mark('id') });
  },
  fail: async ({ api, chat }: World) => {
    const message = { text: mark('unanswered'), message_id: mark('id') };
    if (chat.held) return;
    failing.add(message.text);
    expect((await api.handle({ chat_id: chat.id, ...message })).status).toBe(502);
    chat.failed.push(message);
  },
  tryAgain: async (world: World) => {
    const index = Math.floor(world.pick * world.chat.failed.length);
    const [message] = world.chat.failed.splice(index, 1);
    if (message === undefined) return;
    failing.delete(message.text);
    await sayAndCheck(world, message);
  },
  takeOver: async ({ api, chat }: World) => {
    chat.held =
      (await api.post(`/v1/chats/${encodeURIComponent(chat.id)}/takeover`, {})).status === 200;
  },
  handBack: async ({ api, chat }: World) => {
    await api.post(`/v1/chats/${encodeURIComponent(chat.id)}/handback`, {});
    chat.held = false;
  },
  speakAsOperator: async ({ api, chat }: World) => {
    const text = mark('operator');
    await api.post(`/v1/chats/${encodeURIComponent(chat.id)}/messages`, { text });
  },
  reset: async ({ api, chat }: World) => {
    await api.post('/v1/chat/reset', { chat_id: chat.id });
  },
  closeByHand: async ({ chat, pick }: World) => {
    const column = pick < 0.5 ? 'is_active = false' : 'closed_at = now()';
    await sql.rows(`update chat_sessions set ${column} where chat_id = $1 and is_active`, [
      chat.id,
    ]);
  },
  writeSummary: async ({ chat, pick }: World) => {
    await sql.rows(
      `insert into conversation_summaries (session_id, version, content, last_message_id)
        select s.id, coalesce(c.version, 0) + 1, $2,
          coalesce(c.last_message_id, 0)
            + round(($3::float) * (s.last_message_id - coalesce(c.last_message_id, 0)))
        from chat_sessions s left join lateral (select version, last_message_id
          from conversation_summaries where session_id = s.id order by version desc limit 1) c on true
        where s.chat_id = $1 and s.is_active`,
      [chat.id, mark('summary'), pick],
    );
  },
  editSummary: async ({ chat }: World) => {
    await sql.rows(
      `update conversation_summaries set content = $2 where id = (select c.id
        from conversation_summaries c join chat_sessions s on s.id = c.session_id
        where chat_id = $1 and is_active order by version desc limit 1)`,
      [chat.id, mark('edited summary')],
    );
  },
  deleteSummary: async ({ chat }: World) => {
    await sql.rows(
      `delete from conversation_summaries where id = (select c.id
        from conversation_summaries c join chat_sessions s on s.id = c.session_id
        where chat_id = $1 and is_active order by version desc limit 1)`,
      [chat.id],
    );
  },
  deleteMessage: async (world: World) => {
    await onAMessage(world, 'delete from messages where id = $1');
  },
  editMessage: async (world: World) => {
    const edited = mark('edited');
    await onAMessage(world, 'update messages set content = $2 where id = $1', edited);
  },
  insertMessage: async ({ chat, pick }: World) => {
    const role = ['user', 'assistant', 'system', 'tool'][Math.floor(pick * 4)];
    await sql.rows(
      `insert into messages (session_id, role, content, author)
        select id, $2, $3, 'operator' from chat_sessions where chat_id = $1 and is_active`,
      [chat.id, role, mark('by hand')],
    );
  },
};

async function onAMessage({ chat, pick }: World, statement: string, ...values: string[]) {
  const messages = await sql.rows<{ id: string }>(
    `select m.id from messages m join chat_sessions s on s.id = m.session_id
      where chat_id = $1 and is_active order by m.id`,
    [chat.id],
  );
  const message = messages[Math.floor(pick * messages.length)];
  if (message !== undefined) await sql.rows(statement, [message.id, ...values]);
}

interface Kept {
  id: string;
  role: string;
  content: string;
  half: boolean;
  after: boolean;
}

/** Sends a message and holds its prompt against what the tables held before. */
async function sayAndCheck(world: World, message: { text: string; message_id: string }) {
  const { api, chat } = world;
  const [session] = await sql.rows<{ id: string }>(
    `select coalesce((select session_id from turns where chat_id = $1 and client_message_id = $2),
      (select id from chat_sessions where chat_id = $1 and is_active)) as id`,
    [chat.id, message.message_id],
  );
  const own = await ownMessage(chat.id, message.message_id);
  const [summary] = await sql.rows<{ content: string; last_message_id: string }>(
    `select content, last_message_id from conversation_summaries
      where session_id = $1 order by version desc limit 1`,
    [session?.id],
  );
  const kept = await sql.rows<Kept>(
    `select id, role, content, id > $2::bigint as after, exists (select from turns
        where user_message_id = m.id and state not in ('answered', 'silenced')) as half
      from messages m where session_id = $1 and id <> $3 order by id`,
    [session?.id, summary?.last_message_id ?? 0, own?.id ?? 0],
  );
  const text = own === undefined ? message.text : (own.content ?? '');
  const calls = model.requests.length;
  const { status, body } = await api.handle({ chat_id: chat.id, ...message });
  if (chat.held && text !== '') {
    expect(body).toMatchObject({ type: 'silence', reply_message_id: null });
    expect(model.requests).toHaveLength(calls);
    expect(await ownMessage(chat.id, message.message_id)).toMatchObject({
      content: text,
      state: 'silenced',
    });
    return;
  }
  if (text === '') {
    // Its words were deleted by hand: there is nothing to answer.
    expect(status).toBe(409);
    return;
  }
  expect(status, JSON.stringify(body)).toBe(200);
  const request = model.requests.findLast((seen) => seen.body.messages.at(-1)?.content === text);
  expectPrompt(world, request?.body.messages ?? [], { summary: summary?.content, kept, text });
  await expectLog(world, body.turn_id, kept, request?.body.messages ?? []);
}

/** The stored message of a turn that is tried again; its content is null where it was deleted. */
async function ownMessage(chatId: string, messageId: string) {
  const [own] = await sql.rows<{ id: string | null; content: string | null }>(
    `select m.id, m.content, t.state from turns t left join messages m on m.id = t.user_message_id
      where t.chat_id = $1 and client_message_id = $2`,
    [chatId, messageId],
  );
  return own;
}

function expectPrompt(
  { limit, budget }: World,
  prompt: { role: string; content: string }[],
  expected: { summary: string | undefined; kept: Kept[]; text: string },
) {
  const whole = expected.kept.filter(({ half }) => !half);
  const shown = shownOf(prompt, whole);
  // No hole: the newest ones without a gap, back to the summary's watermark and to the limit.
  const window = whole.slice(whole.length - shown.length);
  expect(shown.map(({ id }) => id)).toEqual(window.map(({ id }) => id));
  if (budget === 100_000) {
    const afterSummary = whole.filter(({ after }) => after).length;
    expect(window.length).toBeGreaterThanOrEqual(
      Math.max(afterSummary, Math.min(limit, whole.length)),
    );
  }
  // Nothing else: not of another chat, not deleted, not an older version, not half a turn.
  const all = [expected.summary ?? '', ...window.map(({ content }) => content), expected.text];
  expect(prompt.flatMap(({ content }) => markersIn(content))).toEqual(all.flatMap(markersIn));
  if (expected.summary !== undefined) expect(prompt[0]?.content).toContain(expected.summary);
  for (const message of window) {
    const role = message.role === 'tool' ? 'system' : message.role;
    const same = (sent: { role: string; content: string }) =>
      sent.role === role && sent.content.includes(message.content);
    expect(prompt.filter(same)).toHaveLength(1);
  }
}

function shownOf(prompt: { content: string }[], kept: Kept[]): Kept[] {
  const seen = new Set(prompt.flatMap(({ content }) => markersIn(content)));
  return kept.filter(({ content }) => markersIn(content).every((marker) => seen.has(marker)));
}

async function expectLog(
  { api, budget }: World,
  turnId: string,
  kept: Kept[],
  prompt: { content: string }[],
) {
  const { body } = await api.get<{
    context: { left_out: { messages: number; unanswered_messages: number }; notes: string[] };
  }>(`/v1/turns/${turnId}/context`);
  const afterSummary = kept.filter(({ after }) => after);
  const whole = afterSummary.filter(({ half }) => !half);
  const leftOut = whole.length - shownOf(prompt, whole).length;
  expect(body.context.left_out).toMatchObject({
    messages: leftOut,
    unanswered_messages: afterSummary.filter(({ half }) => half).length,
  });
  expect(body.context.notes.includes('token_budget_exceeded')).toBe(leftOut > 0);
  if (budget === 100_000) expect(leftOut).toBe(0);
}

/** What must hold at every commit, so in every snapshot. */
async function expectTablesSound(chats: ChatState[]) {
  const ids = chats.map(({ id }) => id);
  const broken = await sql.rows(
    `select s.*, counted.* from chat_sessions s, lateral (select
        (select count(*) from messages m where m.session_id = s.id and m.id > coalesce(
          (select last_message_id from conversation_summaries where session_id = s.id
            order by version desc limit 1), 0)) as since_summary,
        (select coalesce(max(m.id), 0) from messages m where m.session_id = s.id) as newest) counted
      where s.chat_id = any($1) and (s.messages_since_summary <> since_summary
        or s.last_message_id < newest or s.is_active = (s.closed_at is not null))`,
    [ids],
  );
  expect(broken).toEqual([]);
  const doubled = await sql.rows(
    `select chat_id from chat_sessions where is_active and chat_id = any($1)
      group by 1 having count(*) > 1`,
    [ids],
  );
  expect(doubled).toEqual([]);
}

/** How often each kind of step comes. */
const weights: Record<keyof typeof steps, number> = {
  say: 8,
  fail: 3,
  tryAgain: 3,
  writeSummary: 3,
  editSummary: 1,
  deleteSummary: 1,
  deleteMessage: 2,
  editMessage: 1,
  insertMessage: 2,
  takeOver: 1,
  handBack: 2,
  speakAsOperator: 2,
  reset: 1,
  closeByHand: 1,
};

const step = fc.record({
  name: fc.oneof(
    ...keysOf(weights).map((name) => ({ weight: weights[name], arbitrary: fc.constant(name) })),
  ),
  chat: fc.nat(2),
  pick: fc.oneof(
    fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    fc.constantFrom(0, 0.999_999),
  ),
});

test('every prompt holds all of its chat that is not summarised, the latest summary, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(3),
      fc.array(step, { minLength: 10, maxLength: 40 }),
      async (which, run) => {
        const chats = [1, 2, 3].map(() => ({ id: mark('chat'), failed: [], held: false }));
        for (const { name, chat, pick } of run) {
          await steps[name]({ ...apis[which]!, chat: chats[chat]!, pick });
          await expectTablesSound(chats);
        }
        await sayInEach(chats, which);
      },
    ),
    {
      numRuns: 25,
      endOnFailure: true,
      examples: [[0, summaryOverUnanswered]],
    },
  );
}, 120_000);

/** A summary by hand may cover a message that is only answered later. */
const summaryOverUnanswered = (['say', 'fail', 'writeSummary', 'tryAgain', 'say'] as const).map(
  (name) => ({ name, chat: 0, pick: 0.999_999 }),
);

async function sayInEach(chats: ChatState[], which: number) {
  await Promise.all(
    chats.map(async (chat) => {
      const world = { ...apis[which]!, chat, pick: 0 };
      await steps.handBack(world);
      await steps.say(world);
    }),
  );
}

function keysOf<Key extends string>(object: Record<Key, unknown>): Key[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.keys(object) as Key[];
}
