import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startApi } from '#test/api.ts';
import type { ApiClient } from '#test/api.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';
import { openVectorWorld, settle } from '#test/vector-world.ts';
import type { VectorWorld } from '#test/vector-world.ts';
import type { VectorIndex } from './vectors.ts';

type Api = ApiClient & { close(): Promise<void> };
interface Hit {
  source: string;
  score: number;
  created_at: string;
  content: string;
}

let world: VectorWorld;
let index: VectorIndex;
let model: FakeModel;
const opened: Api[] = [];

beforeAll(async () => {
  world = await openVectorWorld();
  index = world.openIndex();
  model = await startFakeModel();
  model.behave(() => ({ kind: 'reply', text: 'Noted.' }));
});

afterEach(async () => {
  world.store.isDown = false;
  world.store.before = () => {};
  world.embeddings.failure = undefined;
  world.embeddings.dimension = 64;
  for (const api of opened.splice(0)) await api.close();
});

afterAll(async () => {
  await world.close();
  await model.close();
});

async function serve(env: Record<string, string> = {}): Promise<Api> {
  const { databaseUrl } = world;
  const api = await startApi({ databaseUrl, modelUrl: model.url, env: { ...world.env, ...env } });
  opened.push(api);
  return api;
}

/** Asks as a turn, and returns its context log. */
async function ask(api: Api, chat_id: string, text: string, user_id = `user of ${chat_id}`) {
  const { status, body } = await api.handle({ chat_id, text, user_id });
  expect(status).toBe(200);
  const { body: turn } = await api.get<{ context: { recalled: Hit[]; notes: string[] } }>(
    `/v1/turns/${body.turn_id}/context`,
  );
  return turn.context;
}

const filterOf = (body: string): unknown => Reflect.get(Object(JSON.parse(body)), 'filter');

const said = ({ recalled }: { recalled: Hit[] }) => recalled.map(({ content }) => content);

const facts: [fact: string, question: string][] = [
  // By sense: no word in common, some not even the language.
  ['We got a beagle from the shelter', 'What kind of pet is there?'],
  ['My automobile is in Riga', 'Where did I leave the машина?'],
  ['She had the flu all week', 'Was anybody ill?'],
  ['Ann was hired by a shipyard', 'Which employer pays her?'],
  ['They moved to Tallinn', 'In which town is their flat?'],
  // By words: names and numbers, which say nothing to the model.
  ['Locker number 7741 belongs to Piotr', 'Who has locker 7741?'],
  ['Locker number 8812 belongs to Maud', 'Who has locker 8812?'],
  ['The password hint is marzipan', 'What was the password hint?'],
  ['Zelda booked the ferry to Gotland', 'Who booked the Gotland ferry?'],
  ['Kwame collects stamps from Peru', 'Who collects Peru stamps?'],
];

test('words and vectors together find more than either alone', async () => {
  await world.tell(
    'hybrid',
    facts.map(([fact]) => fact),
  );
  await settle(index);
  const search = world.openSearch();
  const count = async (askFor: (question: string) => Promise<string | undefined>) => {
    let right = 0;
    for (const [fact, question] of facts) if ((await askFor(question)) === fact) right += 1;
    return right;
  };
  const words = await count(async (text) => (await world.found('hybrid', text, null))[0]);
  const both = await count(async (text) => (await world.found('hybrid', text, search))[0]);
  const vectors = await count(async (text) => {
    const { hits } = await search.find({ text, chatId: 'hybrid', scope: 'chat' });
    return hits[0]?.content;
  });
  console.log(`right first of ${facts.length}: words ${words}, vectors ${vectors}, both ${both}`);
  expect(both).toBe(facts.length);
  expect(both).toBeGreaterThan(words);
  expect(both).toBeGreaterThan(vectors);
});

test('a question that nothing answers brings nothing', async () => {
  const search = world.openSearch();
  expect(await world.found('hybrid', 'Which notary certified the inheritance?', search)).toEqual(
    [],
  );
});

test('a turn recalls by sense, with score, source and date; the window is not repeated', async () => {
  await world.tell('mine', ['We got a beagle from the shelter', 'Nothing else happened']);
  await world.tell('other', ['Our puppy is called Secretino']);
  const api = await serve();
  await api.handle({ chat_id: 'mine', text: 'The hound is fed at six' });
  await settle(index);
  const context = await ask(api, 'mine', 'Do I have a pet?');
  expect(context.notes).toEqual([]);
  expect(context.recalled).toMatchObject([
    {
      source: 'message',
      score: 0.5,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      content: 'We got a beagle from the shelter',
    },
  ]);
  const prompt = JSON.stringify(model.requests.at(-1)?.body);
  expect(prompt).toContain('We got a beagle from the shelter');
  expect(prompt.match(/The hound is fed at six/g)).toHaveLength(1);
  expect(prompt).not.toContain('Secretino');
});

test('scope: the session, the chat, or all chats of the user', async () => {
  await world.tell('first', ['The kid plays chess'], 'wanderer');
  await world.tell('second', ['The daughter swims'], 'wanderer');
  await world.tell('third', ['The baby sleeps'], 'somebody else');
  await settle(index);
  const recalledIn = async (scope: string) => {
    const api = await serve({ RECALL_SCOPE: scope });
    await api.post('/v1/chat/reset', { chat_id: 'first' });
    return said(await ask(api, 'first', 'What does my son do?', 'wanderer')).toSorted();
  };
  expect(await recalledIn('session')).toEqual([]);
  expect(await recalledIn('chat')).toEqual(['The kid plays chess']);
  expect(await recalledIn('user')).toEqual(['The daughter swims', 'The kid plays chess']);
});

test('importance: 0 is never recalled, more comes first', async () => {
  const ids = await world.tell('weighed', ['The violin is old', 'The song is new']);
  await settle(index);
  const weigh = (id: string | undefined, importance: number) =>
    world.sql.rows('update embeddings set importance = $2 where message_id = $1', [id, importance]);
  const search = world.openSearch();
  for (const [first, second] of [ids, ids.toReversed()]) {
    await weigh(first, 5);
    await weigh(second, 1);
    const [best] = await world.found('weighed', 'music', search);
    const [row] = await world.sql.rows('select content from messages where id = $1', [first]);
    expect(best).toBe(row?.content);
  }
  await weigh(ids[0], 0);
  expect(await world.found('weighed', 'music', search)).toEqual(['The song is new']);
});

test('secrets of 26 users in 60 chats stay where they were told, whatever the ids', async () => {
  const odd = [
    `' or true --`,
    '%',
    '_',
    '{"must": []}',
    '\\',
    `"; drop`,
    '$1',
    '*',
    '../x',
    '\u0007',
  ];
  const ids = Array.from({ length: 60 }, (_, n) => `${odd[n % odd.length]}${n}`);
  for (const [n, chatId] of ids.entries()) {
    await world.tell(chatId, [`My salary is moonstone${n}x`], `user ${n % 26}`);
  }
  await settle(index);
  const api = await serve();
  const asked: unknown[] = [];
  world.store.before = ({ path, body }) => void (/query/.test(path) && asked.push(filterOf(body)));
  await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      const n = (i * 7) % ids.length;
      const context = await ask(api, ids[n] ?? '', 'What is my wage?', `user ${n % 26}`);
      expect(said(context)).toEqual([`My salary is moonstone${n}x`]);
    }),
  );
  expect(asked).toHaveLength(50);
  for (const filter of asked) {
    expect(filter).toEqual({ must: [{ key: 'chat_id', match: { value: expect.any(String) } }] });
  }
});

test('the store is believed in nothing but similarity', async () => {
  const [theirs] = await world.tell('theirs', ['My pay is moonstone99y']);
  await world.tell('ours', ['We earn a wage']);
  await settle(index);
  const [row] = await world.sql.rows<{ id: string; version: string }>(
    'select id, md5(content) as version from embeddings where message_id = $1',
    [theirs],
  );
  const [vector = []] = await index.embedder.embed(['My salary'], new AbortController().signal);
  const payload = { chat_id: 'ours', user_id: 'u', session_id: 's', version: row?.version ?? '' };
  await index.store.upsert(index.own?.name ?? '', [{ id: row?.id ?? '', vector, payload }]);
  const search = world.openSearch();
  expect(await world.found('ours', 'My salary', search)).toEqual(['We earn a wage']);
});

test('forget leaves nothing in the vector store', async () => {
  await world.tell('forgotten', ['My income is zanzibarium']);
  await settle(index);
  const api = await serve();
  const kept = new Set<string>();
  world.store.before = ({ path, body }) => void (/delete/.test(path) && kept.add(body));
  await api.post('/v1/chat/forget', { chat_id: 'forgotten' });
  await settle(index);
  expect(kept.size).toBe(1);
  const search = world.openSearch();
  expect(await world.found('forgotten', 'salary', search)).toEqual([]);
});

const failures: [what: string, breakIt: () => void, note: string][] = [
  ['the store is down', () => (world.store.isDown = true), 'vector_store_failed'],
  ['the embeddings server fails', () => (world.embeddings.failure = 'error'), 'embeddings_failed'],
  ['its answer is garbage', () => (world.embeddings.failure = 'garbage'), 'embeddings_failed'],
  ['its vectors are too short', () => (world.embeddings.dimension = 32), 'embeddings_failed'],
  ['it hangs for ever', () => (world.embeddings.failure = 'hang'), 'embeddings_timed_out'],
  [
    'the store hangs for ever',
    () => (world.store.before = () => new Promise<void>(() => {})),
    'vector_store_timed_out',
  ],
];

test.each(failures)(
  '%s: the reply comes with what words find, and the log says why',
  async (what, breakIt, note) => {
    await world.tell(what, ['Locker number 7741 belongs to Piotr']);
    await settle(index);
    const timeout = note.endsWith('timed_out') ? '1000' : '60000';
    const api = await serve({ RECALL_TIMEOUT_MS: timeout });
    breakIt();
    const context = await ask(api, what, 'Who has locker 7741?');
    expect(context.notes).toEqual([note]);
    expect(said(context)).toEqual(['Locker number 7741 belongs to Piotr']);
  },
);

test('/health names the part that is down', async () => {
  const api = await serve();
  const health = async () => (await api.get('/health')).body;
  const ok = { status: 'ok', vector_store: 'ok', embeddings: 'ok' };
  expect(await health()).toMatchObject({ status: 'ok', vectors: ok });
  world.store.isDown = true;
  expect(await health()).toMatchObject({
    status: 'degraded',
    vectors: { status: 'down', vector_store: 'down', embeddings: 'ok' },
  });
  world.store.isDown = false;
  world.embeddings.failure = 'hang';
  expect(await health()).toMatchObject({
    status: 'degraded',
    vectors: { status: 'down', vector_store: 'ok', embeddings: 'down' },
  });
});
