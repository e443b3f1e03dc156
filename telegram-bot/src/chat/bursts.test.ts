import { expect, test, vi } from 'vitest';
import { createBursts } from './bursts.ts';
import type { Words } from './bursts.ts';

const WINDOW_MS = 20;

function words(updateId: number, text: string, rest: Partial<Words> = {}): Words {
  return { chat: '7', userId: 'ada', updateId, messageId: updateId + 10, date: 100, text, ...rest };
}

/** A backend that knows what it has stored, as the real one does. */
function createInbox(stored: Record<string, string> = {}) {
  const known = new Map(Object.entries(stored));
  const handOver = async (_: Words[], turn: { text: string; messageId: string }) => {
    const before = known.get(turn.messageId) ?? turn.text;
    known.set(turn.messageId, before);
    return before === turn.text ? ('taken' as const) : ('mismatch' as const);
  };
  return { known, bursts: createBursts(WINDOW_MS, handOver) };
}

test('words in one breath are one turn, and confirmed together', async () => {
  const { known, bursts } = createInbox();
  const through = await Promise.all([bursts.add(words(1, 'a')), bursts.add(words(2, 'b'))]);
  expect(through).toEqual([2, 2]);
  expect([...known]).toEqual([['tg:7:11', 'a\nb']]);
});

test.each([
  ['another person', words(2, 'b', { userId: 'bob' })],
  ['hours later, told at once after an outage', words(2, 'b', { date: 4_000 })],
  ['too long together', words(2, 'x'.repeat(31_000))],
])('%s: a turn of its own', async (_, second) => {
  const { known, bursts } = createInbox();
  expect(await Promise.all([bursts.add(words(1, 'a')), bursts.add(second)])).toEqual([1, 2]);
  expect([...known.keys()]).toEqual(['tg:7:11', 'tg:7:12']);
});

test('what was stored in smaller groups before a crash is found again, and nothing is stored twice', async () => {
  const { known, bursts } = createInbox({ 'tg:7:11': 'a\nb', 'tg:7:13': 'c' });
  const again = ['a', 'b', 'c', 'd'].map((text, index) => bursts.add(words(index + 1, text)));
  expect(await Promise.all(again)).toEqual([2, 2, 3, 4]);
  expect([...known]).toEqual([
    ['tg:7:11', 'a\nb'],
    ['tg:7:13', 'c'],
    ['tg:7:14', 'd'],
  ]);
});

test('words that cannot be found again are kept under a new id', async () => {
  const { known, bursts } = createInbox({ 'tg:7:11': 'what another version made of it' });
  await Promise.all([bursts.add(words(1, 'a')), bursts.add(words(2, 'b'))]);
  expect(known.get('tg:7:11:again')).toBe('a\nb');
});

test('the next turn of a chat is handed over when the last is stored; settle waits for all', async () => {
  const order: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<'taken'>>();
  const bursts = createBursts(0, (_, { text }) => {
    order.push(text);
    const gate = Promise.withResolvers<'taken'>();
    gates.set(text, gate);
    return gate.promise;
  });
  void bursts.add(words(1, 'first'));
  void bursts.add(words(2, 'second'));
  const settled = vi.fn();
  void bursts.settle('7').then(settled);
  await vi.waitFor(() => expect(order).toEqual(['first']));
  gates.get('first')?.resolve('taken');
  await vi.waitFor(() => expect(order).toEqual(['first', 'second']));
  expect(settled).not.toHaveBeenCalled();
  gates.get('second')?.resolve('taken');
  await vi.waitFor(() => expect(settled).toHaveBeenCalled());
});

test('words that could not be stored are told so, each', async () => {
  const bursts = createBursts(WINDOW_MS, () => Promise.reject(new Error('away')));
  const all = await Promise.allSettled([bursts.add(words(1, 'a')), bursts.add(words(2, 'b'))]);
  expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
