import { expect, test } from 'vitest';
import { storedTurn } from './evidence-for-tests.ts';
import { checkClosings } from './edits.ts';

/** A session that was begun at 100, whose first turn ended at `endedAt` and whose second came at 300. */
const sessionOf = (state: string, endedAt: number | null) => ({
  sessions: [{ id: 's', chat_id: 'c', is_active: true, created_at: 100 }],
  turns: [
    storedTurn({ id: 1, state, created_at: 100, ended_at: endedAt }),
    storedTurn({ id: 2, created_at: 300, ended_at: 310 }),
  ],
  messages: [],
  summaries: [],
});
const reset = { chat: 'c', askedAt: 200, doneAt: 250, sessionId: undefined };
const found = (stored: ReturnType<typeof sessionOf>, closing: { sessionId: string | undefined }) =>
  checkClosings({ stored, closings: [{ ...reset, ...closing }] }).map(({ text }) => text);

test('a session in which something was answered before the reset was asked for is closed by it', () => {
  expect(found(sessionOf('answered', 150), reset)).toEqual([
    'turn 2 was opened in session s after it was closed',
  ]);
});

test.each([
  ['is answered when the reset comes', 'answered', 220],
  ['is silenced in the transaction that begins the session', 'silenced', 100],
  ['has no end', 'answering', null],
])('one whose first turn %s may have come after it', (_, state, endedAt) => {
  expect(found(sessionOf(state, endedAt), reset)).toEqual([]);
});

test('one that was meant itself was there', () => {
  expect(found(sessionOf('answering', null), { sessionId: 's' })).toHaveLength(1);
  expect(found(sessionOf('answering', null), { sessionId: 'another' })).toEqual([]);
});
