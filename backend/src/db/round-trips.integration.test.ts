import { Client } from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startApi, streamHandle } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';
import { openVectorWorld, settle } from '#test/vector-world.ts';

let model: FakeModel;
let api: Awaited<ReturnType<typeof startApi>>;

// Counted where every statement passes, whoever sends it: at the driver.
const query = vi.spyOn(Client.prototype, 'query');

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  model = await startFakeModel();
  api = await startApi({ databaseUrl, modelUrl: model.url });
});

afterAll(async () => {
  query.mockRestore();
  await api.close();
  await model.close();
});

const turn = ['open_turn', 'store_reply'];

test.each([
  ['a new chat', { chat_id: 'plain', text: 'Hi' }],
  ['a chat that goes on', { chat_id: 'plain', text: 'Hi again' }],
  ['a new chat, with a message id', { chat_id: 'with id', text: 'Hi', message_id: 'm-1' }],
  ['a chat that goes on, with a message id', { chat_id: 'with id', text: 'Hi', message_id: 'm-2' }],
])('%s: a turn is two round trips', async (_, message) => {
  expect(await statementsOf(() => api.handle(message))).toEqual(turn);
});

test('a streamed turn is two round trips', async () => {
  const statements = await statementsOf(async () => {
    const { response } = await streamHandle(api, { chat_id: 'streamed', text: 'Hi' });
    await response.text();
  });
  expect(statements).toEqual(turn);
});

test('a message in a chat that an operator holds is one', async () => {
  const message = { chat_id: 'held', text: 'Hi' };
  await api.handle(message);
  await api.post('/v1/chats/held/takeover', {});
  expect(await statementsOf(() => api.handle(message))).toEqual(['open_turn']);
});

test('a replay is two small reads', async () => {
  const message = { chat_id: 'replayed', text: 'Hi', message_id: 'm-1' };
  await api.handle(message);
  expect(await statementsOf(() => api.handle(message))).toHaveLength(2);
});

test('with vectors a turn makes one more, for what they found', async () => {
  const world = await openVectorWorld();
  await world.tell('vectors', ['We got a beagle']);
  await settle(world.openIndex());
  const { databaseUrl, env } = world;
  const withVectors = await startApi({ databaseUrl, modelUrl: model.url, env });
  const ask = () => withVectors.handle({ chat_id: 'vectors', text: 'Which pet?' });
  await ask();
  const [first, second, third, ...more] = await statementsOf(ask);
  expect([first, third, more]).toEqual(['open_turn', 'store_reply', []]);
  expect(second).toContain('recallable');
  await withVectors.close();
  await world.close();
});

/** The statements of one call: those of the keeper and for the collection's name, which come now and then, are not the call's. */
async function statementsOf(call: () => Promise<unknown>): Promise<string[]> {
  query.mockClear();
  await call();
  const sent = query.mock.calls.map(([statement]: unknown[]) => textOf(statement));
  return sent
    .filter((text) => !isKeepers(text))
    .map((text) => /open_turn|store_reply/.exec(text)?.[0] ?? text);
}

function isKeepers(text: string): boolean {
  return /vector_collections|lease_expires_at" < now\(\)|set lease_expires_at|"cancel_requested_at" is not/.test(
    text,
  );
}

function textOf(statement: unknown): string {
  if (typeof statement === 'string') return statement;
  if (typeof statement === 'object' && statement !== null && 'text' in statement) {
    return String(statement.text);
  }
  return String(statement);
}
