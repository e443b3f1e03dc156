import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '#src/db/connect.ts';
import type { Connection } from '#src/db/connect.ts';
import { openSql, startApi } from '#test/api.ts';
import type { ApiClient, Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';
import { indexMemories } from './index-memories.ts';

interface Hit {
  memory_id: string;
  source: string;
  message_id: string | null;
  role: string;
  score: number;
  date: string;
  text: string;
}

let databaseUrl: string;
let connection: Connection;
let sql: Sql;
let model: FakeModel;
let api: ApiClient & { close(): Promise<void> };
let chats = 0;

beforeAll(async () => {
  databaseUrl = (await createTestDatabase()).url;
  model = await startFakeModel();
  model.behave(() => ({ kind: 'reply', text: 'Noted.' }));
  const env = { SHORT_HISTORY_LIMIT: '2', SUMMARY_MODE: 'off' };
  api = await startApi({ databaseUrl, modelUrl: model.url, env });
  connection = connect(databaseUrl, { max: 2 });
  sql = openSql(databaseUrl);
});

afterAll(async () => {
  await api.close();
  await connection.close();
  await sql.close();
  await model.close();
});

const newChat = () => `recall ${(chats += 1)}`;

/** A closed conversation of the past. Returns its messages' ids. */
async function tell(
  chatId: string,
  texts: string[],
  userId = `user of ${chatId}`,
): Promise<string[]> {
  const rows = await sql.rows<{ id: string }>(
    `with session as (
      insert into chat_sessions (chat_id, user_id, is_active) values ($1, $2, false) returning id
    )
    insert into messages (session_id, role, content, created_at)
      select id, case when n % 2 = 1 then 'user' else 'assistant' end, text, '2025-05-08T10:00:00Z'
        from session, unnest($3::text[]) with ordinality as t (text, n) order by n
      returning id`,
    [chatId, userId, texts],
  );
  await index();
  return rows.map(({ id }) => id);
}

async function index(): Promise<void> {
  while (
    (await indexMemories(connection.db)) > 0 ||
    (await sql.rows('select from embeddings where terms is null')).length > 0
  );
}

async function search(chatId: string, query: string, limit = 10): Promise<Hit[]> {
  const { status, body } = await api.post<{ hits: Hit[] }>('/v1/memory/search', {
    chat_id: chatId,
    query,
    limit,
  });
  expect(status).toBe(200);
  return body.hits;
}

const texts = async (chatId: string, query: string) =>
  (await search(chatId, query)).map(({ text }) => text);

const weigh = (id: string | undefined, importance: number) =>
  sql.rows('update embeddings set importance = $2 where message_id = $1', [id, importance]);

const secretOf = (n: number) => `moonstone${n}x`;

const smallTalk = [
  'The weather is dreadful today.',
  'Take an umbrella then.',
  'My train was late again.',
  'They say it was the signals.',
  'I cooked lentils for dinner.',
  'Sounds healthy.',
];

/** What the model was sent last. */
const lastPrompt = () => JSON.stringify(model.requests.at(-1)?.body);

test('a message waits for the ledger from its turn on; the index brings it in', async () => {
  const chatId = newChat();
  const { body } = await api.handle({ chat_id: chatId, text: 'My dentist is Dr. Okafor.' });
  const ledger = () =>
    sql.rows<{ role: string; terms: number | null; state: string; content: string | null }>(
      `select e.role, e.terms, e.state, e.content from embeddings e
        where session_id = $1 order by id`,
      [body.session_id],
    );
  const waiting = await sql.rows<{ content: string }>(
    `select content from unentered_messages join messages on id = message_id
      where session_id = $1 order by id`,
    [body.session_id],
  );
  expect(waiting.map(({ content }) => content)).toEqual(['My dentist is Dr. Okafor.', 'Noted.']);
  await index();
  expect(await ledger()).toMatchObject([
    { role: 'user', state: 'indexed', content: 'My dentist is Dr. Okafor.' },
    { role: 'assistant', state: 'indexed', content: 'Noted.' },
  ]);
  expect(await sql.rows('select from unentered_messages')).toEqual([]);
});

test('what was said before a reset is in the next prompt, quoted, with date and score in the log', async () => {
  const chatId = newChat();
  const [told] = await tell(chatId, ['We adopted a beagle called Pancake.', ...smallTalk]);
  const { body } = await api.handle({ chat_id: chatId, text: 'What is our beagle called?' });
  const sent = model.requests.at(-1)?.body.messages.at(-1)?.content ?? '';
  expect(sent).toContain(
    '<memory by="user" date="2025-05-08T10:00:00Z">\nWe adopted a beagle called Pancake.\n</memory>',
  );
  expect(sent.endsWith('\nWhat is our beagle called?')).toBe(true);
  expect(model.requests.at(-1)?.body.messages.map(({ role }) => role)).toEqual(['system', 'user']);

  const { body: turn } = await api.get<{ context: { recalled: (Hit & { content: string })[] } }>(
    `/v1/turns/${body.turn_id}/context`,
  );
  const hit = turn.context.recalled.find(({ message_id }) => message_id === told);
  expect(hit).toMatchObject({
    source: 'message',
    role: 'user',
    created_at: '2025-05-08T10:00:00Z',
    content: 'We adopted a beagle called Pancake.',
  });
  expect(hit?.score).toBeGreaterThan(0.3);
});

test('without a model key the reply quotes what was recalled, and says from when', async () => {
  const chatId = newChat();
  await tell(chatId, ['We adopted a beagle called Pancake.', ...smallTalk]);
  const offline = await startApi({ databaseUrl });
  const { body } = await offline.handle({ chat_id: chatId, text: 'What is our beagle called?' });
  await offline.close();
  expect(body.text).toBe(
    '[offline] You wrote on 2025-05-08: "We adopted a beagle called Pancake."',
  );
});

test('a question about nothing that was said recalls nothing', async () => {
  const chatId = newChat();
  await tell(chatId, ['We adopted a beagle called Pancake.', ...smallTalk]);
  await api.handle({ chat_id: chatId, text: 'Which notary certified the inheritance?' });
  expect(lastPrompt()).not.toContain('<memory');
});

test('nothing that stands in the window, no half turn, and nothing twice', async () => {
  const chatId = newChat();
  await tell(chatId, ['The boiler code is 4417.', ...smallTalk]);
  model.behave(() => ({ kind: 'status', status: 400 }));
  await api.handle({ chat_id: chatId, text: 'The boiler costs a fortune, a half turn says.' });
  model.behave(() => ({ kind: 'reply', text: 'Noted.' }));
  await api.post('/v1/chat/reset', { chat_id: chatId });
  await api.handle({ chat_id: chatId, text: 'The boiler is in the cellar.' });
  await index();
  await api.handle({ chat_id: chatId, text: 'What do you know of the boiler?' });
  const prompt = lastPrompt();
  expect(prompt.match(/boiler code is 4417/g)).toHaveLength(1);
  expect(prompt.match(/boiler is in the cellar/g)).toHaveLength(1);
  expect(prompt).not.toContain('a half turn says');
});

test('stems, scripts and dates: found in whatever form it is asked for', async () => {
  const chatId = newChat();
  await tell(chatId, [
    'I was swimming across the lake.',
    'Мы посадили вишни возле беседки.',
    '来年の春に京都へ引っ越します。',
    'Mein Bruder wohnt in München.',
    'Парковка стоит 250 рублей',
    ...smallTalk,
  ]);
  expect((await texts(chatId, 'Who swims in lakes?'))[0]).toContain('swimming');
  expect((await texts(chatId, 'Где растёт вишня?'))[0]).toContain('вишни');
  expect((await texts(chatId, '京都にいつ引っ越しますか'))[0]).toContain('京都');
  expect((await texts(chatId, 'Wer wohnt in Munchen?'))[0]).toContain('München');
  expect((await texts(chatId, 'парковка 250'))[0]).toContain('250');
  expect(await search(chatId, '8 мая 2025')).not.toEqual([]);
  expect(await search(chatId, '9 June 2031')).toEqual([]);
});

test('a long message is found by its passage', async () => {
  const chatId = newChat();
  const filler = 'And so the afternoon went on without anything worth telling. '.repeat(60);
  await tell(chatId, [`${filler}The key lies under the third flowerpot. ${filler}`, ...smallTalk]);
  const [hit] = await search(chatId, 'Under which flowerpot is the key?');
  expect(hit?.text).toContain('third flowerpot');
  expect(hit?.text.length).toBeLessThan(1_500);
});

test('an edit by SQL is what is found from then on, and a deletion leaves nothing', async () => {
  const chatId = newChat();
  const [, id] = await tell(chatId, ['Hello!', 'Our wifi password is hedgehog.', ...smallTalk]);
  await sql.rows(`update messages set content = 'Our wifi password is walrus.' where id = $1`, [
    id,
  ]);
  expect(await texts(chatId, 'wifi password hedgehog')).not.toContain('hedgehog');
  await index();
  expect((await texts(chatId, 'What is the wifi password?'))[0]).toContain('walrus');
  expect(JSON.stringify(await search(chatId, 'hedgehog'))).not.toContain('hedgehog');
  await sql.rows('delete from messages where id = $1', [id]);
  expect(await search(chatId, 'What is the wifi password?')).toEqual([]);
});

test('importance: more is recalled first, 0 never', async () => {
  const chatId = newChat();
  const ids = await tell(chatId, [
    'The gate code is 11.',
    'Fine.',
    'The gate code is 22.',
    ...smallTalk,
  ]);
  await weigh(ids[0], 5);
  expect((await texts(chatId, 'What is the gate code?'))[0]).toContain('11');
  await weigh(ids[0], 0);
  expect(await texts(chatId, 'What is the gate code?')).not.toContainEqual(
    expect.stringContaining('11'),
  );
});

test('sentences of an earlier session’s latest summary are found; those it replaced are not', async () => {
  const chatId = newChat();
  const ids = await tell(chatId, smallTalk);
  const write = (version: number, content: string) =>
    sql.rows(
      `insert into conversation_summaries (session_id, version, content, last_message_id)
        select session_id, $2, $3, id from messages where id = $1`,
      [ids.at(-1), version, content],
    );
  await write(1, 'She plays the harp. She is fond of rain.');
  await write(2, 'She plays the bassoon. She is fond of rain.');
  await index();
  const [hit] = await search(chatId, 'Does she play the bassoon?');
  expect(hit).toMatchObject({
    source: 'summary',
    message_id: null,
    text: 'She plays the bassoon.',
  });
  expect(JSON.stringify(await search(chatId, 'harp'))).not.toContain('harp');
  await sql.rows(`delete from conversation_summaries where content like '%bassoon%'`);
  await index();
  expect((await search(chatId, 'Who plays the harp?'))[0]?.text).toContain('harp');
});

test('scope: the session, the chat, or all chats of the user', async () => {
  const chatId = newChat();
  const user = 'wanderer';
  await tell(chatId, ['My passport number ends with 88.', ...smallTalk], user);
  await tell(newChat(), ['My passport photo shows a beard.', ...smallTalk], user);
  const recalledIn = async (scope: string) => {
    const scoped = await startApi({
      databaseUrl,
      modelUrl: model.url,
      env: { RECALL_SCOPE: scope },
    });
    await scoped.post('/v1/chat/reset', { chat_id: chatId });
    await scoped.handle({ chat_id: chatId, user_id: user, text: 'What about my passport?' });
    await scoped.close();
    const prompt = lastPrompt();
    return [prompt.includes('ends with 88'), prompt.includes('shows a beard')];
  };
  expect(await recalledIn('session')).toEqual([false, false]);
  expect(await recalledIn('chat')).toEqual([true, false]);
  expect(await recalledIn('user')).toEqual([true, true]);
});

test('forget leaves no trace in any table', async () => {
  const chatId = newChat();
  await tell(chatId, ['The treasure is in Zanzibarium.', ...smallTalk]);
  const { body } = await api.post<{ deleted: { embeddings: number } }>('/v1/chat/forget', {
    chat_id: chatId,
  });
  expect(body.deleted.embeddings).toBe(7);
  const traces = await sql.rows(
    `select term from recall_postings where term like 'zanzib%' or chat_key = hashtextextended($1, 0)`,
    [chatId],
  );
  expect(traces).toEqual([]);
});

test('several indexers share the work, and every message is indexed once', async () => {
  const chatId = newChat();
  await sql.rows(
    `with session as (insert into chat_sessions (chat_id, user_id) values ($1, 'u') returning id)
    insert into messages (session_id, role, content)
      select id, 'user', 'number ' || n from session, generate_series(1, 1000) as n`,
    [chatId],
  );
  const counts = await Promise.all(
    [1, 2, 3].map(async () => {
      let count = 0;
      for (let taken = 1; taken > 0; count += taken) taken = await indexMemories(connection.db);
      return count;
    }),
  );
  // Each is taken twice: for its passages, then for its words.
  expect(counts.reduce((a, b) => a + b)).toBe(2_000);
  await index();
  const [postings] = await sql.rows<{ count: string }>(
    `select count(*) from recall_postings where chat_key = hashtextextended($1, 0) and term = ''`,
    [chatId],
  );
  expect(postings?.count).toBe('1000');
});

test('secrets of 26 users in 60 chats stay where they were told, also for hostile ids and at once', async () => {
  const hostile = [
    `' or true --`,
    '%',
    '_',
    '{"chat_id": "x"}',
    '\\',
    `"; drop table messages; --`,
    '$1',
    '*',
  ];
  const ids = Array.from({ length: 60 }, (_, n) => `${hostile[n % hostile.length]}${n}`);
  for (const [n, chatId] of ids.entries()) {
    await tell(chatId, [`The vault password is ${secretOf(n)}.`, ...smallTalk], `user ${n % 26}`);
  }
  const before = model.requests.length;
  await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      const n = (i * 7) % ids.length;
      const chat_id = ids[n] ?? '';
      const question = `What is the vault password? I ask in chat ${n}.`;
      const hits = await search(chat_id, question);
      expect(hits.map(({ text }) => text)).toContainEqual(expect.stringContaining(secretOf(n)));
      expect(hits.filter(({ text }) => /moonstone/.test(text))).toHaveLength(1);
      const user_id = `user ${n % 26}`;
      expect((await api.handle({ chat_id, user_id, text: question })).status).toBe(200);
    }),
  );
  const prompts = model.requests.slice(before).map(({ body }) => JSON.stringify(body));
  expect(prompts).toHaveLength(50);
  for (const prompt of prompts) {
    const n = Number(/I ask in chat (\d+)\./.exec(prompt)?.[1]);
    expect(new Set(prompt.match(/moonstone\d+x/g))).toEqual(new Set([secretOf(n)]));
  }
  for (const chatId of [...hostile, 'moonstone', '']) {
    const { body } = await api.post('/v1/memory/search', {
      chat_id: chatId,
      query: 'vault password',
    });
    expect(JSON.stringify(body)).not.toContain('moonstone');
  }
});
