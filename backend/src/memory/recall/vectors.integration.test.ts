import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { VectorIndex } from './vectors.ts';
import { agreed, compare, indexOnce, openVectorWorld, settle } from '#test/vector-world.ts';
import type { VectorWorld } from '#test/vector-world.ts';
import { indexMemories } from './index-memories.ts';
import { mendVectors } from './keep-collection.ts';
import type { VectorSearch } from './vector-search.ts';

let world: VectorWorld;
let index: VectorIndex;
let search: VectorSearch;

beforeAll(async () => {
  world = await openVectorWorld();
});
afterAll(() => world.close());

beforeEach(async () => {
  index = world.openIndex();
  await settle(index);
  search = world.openSearch();
});

afterEach(() => {
  const { store, embeddings } = world;
  store.isDown = false;
  store.before = () => {};
  store.losesAnswer = () => false;
  embeddings.failure = undefined;
  embeddings.dimension = 64;
  embeddings.poison = undefined;
});

/** Into the index of words, after which a row waits for its vector. */
async function toWords(): Promise<void> {
  while ((await indexMemories(world.db, { withVectors: true })) > 0);
}

const ledgerOf = (chatId: string) =>
  world.sql.rows<{ id: string; state: string; model: string | null; error: string | null }>(
    `select e.id, e.state, e.model, e.dimension, e.error from embeddings e
      join chat_sessions s on s.id = e.session_id where s.chat_id = $1 order by e.message_id`,
    [chatId],
  );

describe('a crash', () => {
  test('before the embedding: the row waits', async () => {
    await world.tell('before', ['My dog is called Rex']);
    await toWords();
    expect(await ledgerOf('before')).toMatchObject([{ state: 'pending', model: null }]);
    await settle(index);
    expect(await ledgerOf('before')).toMatchObject([
      { state: 'indexed', model: world.env.EMBEDDINGS_MODEL, dimension: 64, error: null },
    ]);
    expect(await world.found('before', 'Which puppy?', search)).toEqual(['My dog is called Rex']);
  });

  test('after the claim: another takes the row when the claim has run out', async () => {
    await world.tell('claimed', ['The car is blue']);
    await toWords();
    await world.sql.rows(
      `update embeddings set claimed_until = now() + interval '1 hour' where state = 'pending'`,
    );
    expect(await indexOnce(index)).toBe(0);
    expect(await compare(index)).toEqual({ ...agreed, waiting: 1 });
    await world.sql.rows(`update embeddings set claimed_until = now() where state = 'pending'`);
    await settle(index);
    expect(await world.found('claimed', 'Which vehicle?', search)).toEqual(['The car is blue']);
  });

  test('after the upsert: it is made again, onto the same point', async () => {
    await world.tell('upserted', ['The doctor said rest']);
    world.store.losesAnswer = ({ path }) => path.includes('/points?');
    await toWords();
    await expect(indexOnce(index)).rejects.toThrow('vector store');
    expect(await compare(index)).toEqual({ ...agreed, waiting: 1 });
    world.store.losesAnswer = () => false;
    await settle(index);
  });

  test('between the upsert and the mark, and the row is deleted meanwhile', async () => {
    const [id] = await world.tell('orphan', ['The violin is stolen']);
    world.store.losesAnswer = ({ path }) => path.includes('/points?');
    await toWords();
    await expect(indexOnce(index)).rejects.toThrow('vector store');
    await world.sql.rows('delete from messages where id = $1', [id]);
    world.store.losesAnswer = () => false;
    await settle(index);
    expect(await world.sql.rows('select from deleted_vectors')).toEqual([]);
  });
});

describe('an edit or a deletion by SQL', () => {
  test('a deletion takes the vector along, also that of a session, without any reconcile', async () => {
    const [id] = await world.tell('deleted', ['The salary is a secret', 'The wage is not']);
    await world.tell('closed', ['The kid sings']);
    await settle(index);
    await world.sql.rows('delete from messages where id = $1', [id]);
    await world.sql.rows(`delete from chat_sessions where chat_id = 'closed'`);
    expect(await compare(index)).toEqual({ ...agreed, orphaned: 2 });
    expect(await indexOnce(index)).toBe(2);
    expect(await compare(index)).toEqual(agreed);
  });

  test('an edit is embedded anew; until then its old sense finds nothing', async () => {
    const [id] = await world.tell('edited', ['The beagle sleeps']);
    await settle(index);
    await world.sql.rows(`update messages set content = 'The violin rests' where id = $1`, [id]);
    await toWords();
    expect(await world.found('edited', 'my pet', search)).toEqual([]);
    await settle(index);
    expect(await world.found('edited', 'my instrument', search)).toEqual(['The violin rests']);
  });

  test('an edit that leaves no word takes the vector along', async () => {
    const [id] = await world.tell('wordless', ['The dinner was burnt']);
    await settle(index);
    await world.sql.rows(`update messages set content = '…' where id = $1`, [id]);
    await settle(index);
    expect(await ledgerOf('wordless')).toMatchObject([{ state: 'indexed', model: null }]);
  });

  test('an edit while its text is being stored wins', async () => {
    const [id] = await world.tell('racing', ['The violin is broken']);
    await toWords();
    world.store.before = async ({ path }) => {
      if (!path.includes('/points?')) return;
      world.store.before = () => {};
      await world.sql.rows(`update messages set content = 'The car is broken' where id = $1`, [id]);
      await toWords();
    };
    await indexOnce(index);
    expect(await compare(index)).toEqual({ ...agreed, waiting: 1 });
    await settle(index);
    expect(await world.found('racing', 'my automobile', search)).toEqual(['The car is broken']);
  });

  test('a deletion while its text is being stored leaves no vector', async () => {
    const [id] = await world.tell('gone', ['The violin is sold']);
    await toWords();
    world.store.before = async ({ path }) => {
      if (!path.includes('/points?')) return;
      world.store.before = () => {};
      await world.sql.rows('delete from messages where id = $1', [id]);
    };
    await indexOnce(index);
    await world.sql.rows('update deleted_vectors set due_at = now()');
    await settle(index);
  });
});

describe('a service', () => {
  test('the store is down for a while: what was said, edited and deleted then is made up for', async () => {
    const ids = await world.tell('outage', ['We drive an automobile', 'The puppy is asleep']);
    await settle(index);
    world.store.isDown = true;
    await world.tell('outage', ['The trip was long']);
    await world.sql.rows('delete from messages where id = $1', [ids[0]]);
    await world.sql.rows(`update messages set content = 'A son was born' where id = $1`, [ids[1]]);
    await toWords();
    await expect(indexOnce(index)).rejects.toThrow('vector store: it does not answer');
    world.store.isDown = false;
    await settle(index);
    expect(await world.found('outage', 'which kid', search)).toEqual(['A son was born']);
  });

  test.each([
    ['error', 'HTTP 500'],
    ['overload', 'HTTP 429'],
    ['cut', 'cannot be reached'],
    ['garbage', 'not what the protocol says'],
  ] as const)('the embeddings server fails (%s): the ledger says why', async (failure, reason) => {
    world.embeddings.failure = failure;
    await world.tell(failure, ['A journey to the coast']);
    await toWords();
    await expect(indexOnce(index)).rejects.toThrow(reason);
    expect((await ledgerOf(failure))[0]).toMatchObject({
      state: 'pending',
      error: expect.stringContaining(reason),
    });
    world.embeddings.failure = undefined;
    await settle(index);
    expect((await ledgerOf(failure))[0]).toMatchObject({ state: 'indexed', error: null });
  });

  test('vectors of another dimension are not stored', async () => {
    world.embeddings.dimension = 32;
    await world.tell('dimension', ['My income is low']);
    await toWords();
    await expect(indexOnce(index)).rejects.toThrow('32 dimensions instead of 64');
    world.embeddings.dimension = 64;
    await settle(index);
  });

  test('a text that the model refuses holds up no other, and is tried again when edited', async () => {
    world.embeddings.poison = 'unspeakable';
    const ids = await world.tell('poison', ['The kid sings', 'An unspeakable meal', 'A low wage']);
    await settle(index);
    const states = async () => (await ledgerOf('poison')).map(({ state }) => state);
    expect(await states()).toEqual(['indexed', 'failed', 'indexed']);
    expect((await ledgerOf('poison'))[1]?.error).toBe('embeddings: HTTP 400');
    await world.sql.rows(`update messages set content = 'A fine meal' where id = $1`, [ids[1]]);
    await settle(index);
    expect(await states()).toEqual(['indexed', 'indexed', 'indexed']);
  });

  test('the store was lost with all that was in it', async () => {
    await world.tell('lost', ['The flu is over']);
    await settle(index);
    await index.store.dropCollection(index.own?.name ?? '');
    await mendVectors(index);
    await settle(index);
    expect(await world.found('lost', 'who is ill', search)).toEqual(['The flu is over']);
  });
});

test('several workers share the work: every text is embedded once', async () => {
  await world.tell(
    'shared',
    Array.from({ length: 300 }, (_, n) => `Number ${n}`),
  );
  await toWords();
  world.embeddings.texts.length = 0;
  const others = [index, world.openIndex(), world.openIndex()];
  await Promise.all(
    others.map(async (one) => {
      while ((await indexOnce(one)) > 0);
    }),
  );
  const embedded = world.embeddings.texts.filter((text) => text.startsWith('Number'));
  expect(embedded).toHaveLength(300);
  expect(new Set(embedded).size).toBe(300);
  expect(await compare(index)).toEqual(agreed);
});

test('what was changed behind its back is found and mended both ways', async () => {
  await world.tell('tampered', ['A daughter', 'A son', 'A baby']);
  await settle(index);
  const [first, second] = await ledgerOf('tampered');
  const name = index.own?.name ?? '';
  const payload = { chat_id: 'tampered', user_id: 'u', session_id: 's', version: 'old' };
  const vector = Array.from({ length: 64 }, () => 1);
  await index.store.remove(name, [first?.id ?? '']);
  await index.store.upsert(name, [
    { id: second?.id ?? '', vector, payload },
    { id: '999999999', vector, payload },
  ]);
  expect(await compare(index)).toEqual({ missing: 1, outdated: 1, orphaned: 1, waiting: 0 });
  await mendVectors(index);
  expect(await compare(index)).toEqual({ ...agreed, waiting: 2 });
  await settle(index);
});

test('another model fills a collection of its own; the old one is searched until that is whole', async () => {
  // More than one batch.
  const others = Array.from({ length: 40 }, (_, n) => `Number ${n}`);
  await world.tell('models', ['The hound is old', ...others]);
  await settle(index);
  const searched = async () =>
    (
      await world.sql.rows<{ model: string }>(
        'select model from vector_collections order by active_since desc nulls last limit 1',
      )
    )[0]?.model;
  const before = await searched();
  const model = `${before}-2`;
  const newer = world.openIndex({ EMBEDDINGS_MODEL: model });
  await indexOnce(newer);
  // Others have rows in hand; then rows that a worker with the old model took.
  await world.sql.rows(
    `update embeddings set claimed_until = now() + interval '1 hour' where state = 'pending'`,
  );
  await world.tell('models', ['A new dawn']);
  while ((await indexOnce(newer)) > 0);
  expect(await searched()).toBe(before);
  await world.sql.rows(
    `update embeddings set state = 'indexed', claimed_until = null where state = 'pending'`,
  );
  expect(await indexOnce(newer)).toBeGreaterThan(0);
  expect(await searched()).toBe(before);
  expect(await world.found('models', 'Which pet?', world.openSearch())).toEqual([
    'The hound is old',
  ]);
  await settle(newer);
  expect(await searched()).toBe(model);
  expect(await world.sql.rows(`select from embeddings where model = $1`, [before])).toEqual([]);
  expect(await world.found('models', 'Which pet?', world.openSearch())).toEqual([
    'The hound is old',
  ]);

  await world.sql.rows(
    `update vector_collections set active_since = active_since - interval '1 hour'`,
  );
  await mendVectors(newer);
  const kept = await world.sql.rows<{ model: string }>('select model from vector_collections');
  expect(kept).toEqual([{ model }]);
});
