import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createBatcher } from './batcher.ts';

interface Call {
  inputs: string[];
  succeed: () => void;
  fail: (error: Error) => void;
}

let calls: Call[];
let countWaiting: () => number;
const undone = new Error('rolled back');

beforeEach(() => {
  calls = [];
});

afterEach(() => {
  vi.useRealTimers();
});

test('goes out alone and at once where nothing is under way', async () => {
  const send = openBatcher();
  const answer = send('a');
  expect(sent()).toEqual([['a']]);
  calls[0]?.succeed();
  await expect(answer).resolves.toBe('A');
});

test('what comes meanwhile goes out together, and each gets its own answer', async () => {
  const send = openBatcher();
  const answers = Promise.all(['a', 'b', 'c', 'd'].map(send));
  expect(sent()).toEqual([['a']]);
  expect(countWaiting()).toBe(3);
  calls[0]?.succeed();
  await vi.waitFor(() => expect(sent()).toEqual([['a'], ['b', 'c', 'd']]));
  expect(countWaiting()).toBe(0);
  calls[1]?.succeed();
  await expect(answers).resolves.toEqual(['A', 'B', 'C', 'D']);
  const next = send('e');
  await vi.waitFor(() => expect(sent()).toHaveLength(3));
  calls[2]?.succeed();
  await expect(next).resolves.toBe('E');
});

test('a batch that left nothing behind is tried one by one, and only the culprit fails', async () => {
  const send = openBatcher();
  const answers = Promise.allSettled(['a', 'b', 'c'].map(send));
  calls[0]?.succeed();
  await vi.waitFor(() => expect(sent()).toHaveLength(2));
  calls[1]?.fail(undone);
  await vi.waitFor(() => expect(sent().slice(2)).toEqual([['b'], ['c']]));
  calls[2]?.fail(new Error('too many messages'));
  calls[3]?.succeed();
  expect(await answers).toMatchObject([
    { value: 'A' },
    { reason: { message: 'too many messages' } },
    { value: 'C' },
  ]);
});

test('a batch that may have been stored is not sent again', async () => {
  const send = openBatcher();
  const answers = Promise.allSettled(['a', 'b', 'c'].map(send));
  calls[0]?.succeed();
  await vi.waitFor(() => expect(sent()).toHaveLength(2));
  calls[1]?.fail(new Error('connection lost'));
  expect(await answers).toMatchObject([
    { value: 'A' },
    { reason: { message: 'connection lost' } },
    { reason: { message: 'connection lost' } },
  ]);
  expect(sent()).toHaveLength(2);
});

test('a statement that hangs holds nobody up for long, nor lets two more out when it ends', async () => {
  vi.useFakeTimers();
  const send = openBatcher();
  const answers = Promise.all(['a', 'b', 'c'].map(send));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(sent()).toEqual([['a'], ['b', 'c']]);
  const late = send('d');
  await vi.advanceTimersByTimeAsync(1);
  const later = send('e');
  calls[0]?.succeed();
  await vi.advanceTimersByTimeAsync(0);
  expect(sent()).toEqual([['a'], ['b', 'c'], ['d']]);
  calls[1]?.succeed();
  calls[2]?.succeed();
  await vi.advanceTimersByTimeAsync(0);
  calls[3]?.succeed();
  await expect(answers).resolves.toEqual(['A', 'B', 'C']);
  await expect(Promise.all([late, later])).resolves.toEqual(['D', 'E']);
});

function sent(): string[][] {
  return calls.map(({ inputs }) => inputs);
}

function openBatcher(): (input: string) => Promise<string> {
  const many = (inputs: string[]) =>
    new Promise<string[]>((resolve, reject) => {
      const succeed = () => resolve(inputs.map((input) => input.toUpperCase()));
      calls.push({ inputs, succeed, fail: reject });
    });
  const batcher = createBatcher({
    one: async (input: string) => (await many([input]))[0] ?? '',
    many,
    isUndone: (error) => error === undone,
  });
  countWaiting = batcher.countWaiting;
  return batcher.send;
}
