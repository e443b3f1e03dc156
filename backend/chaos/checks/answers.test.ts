import { expect, test } from 'vitest';
import type { Call, Forgetting } from '../speech.ts';
import { checkAnswers } from './answers.ts';
import { storedTurn } from './evidence-for-tests.ts';

const call = (at: number, accepted = true): Call => ({
  at,
  endedAt: at + 10,
  accepted,
  status: accepted ? 200 : undefined,
  code: undefined,
  reply: undefined,
});
const forgetting = (known: boolean): Forgetting => ({
  chat: 'c',
  askedAt: 100_000,
  doneAt: 105_000,
  known,
});

/** Whether the loss of what was accepted by these calls is seen, where of its chat this was forgotten. */
function isSeen(calls: Call[], forgettings: Forgetting[], leftSince?: number): boolean {
  const turns = leftSince === undefined ? [] : [storedTurn({ ended_at: leftSince })];
  const sessions = turns.map(({ session_id: id }) => ({
    id,
    chat_id: 'c',
    is_active: true,
    created_at: 0,
  }));
  const at = calls[0]?.at ?? 0;
  const violations = checkAnswers({
    stored: { sessions, turns, messages: [], summaries: [] },
    said: [{ mark: '{c:1}', chat: 'c', channel: 'api', at, conversation: 0, calls }],
    desk: { spoken: [], holdings: [], resent: [], rebuilt: new Set(), work: async () => {} },
    forgettings,
    acts: [],
  });
  return violations.some(({ rule }) => rule === 'never lost');
}

test('what was said before a forgetting was confirmed may be gone, what was said after it not', () => {
  expect(isSeen([call(104_000)], [forgetting(true)])).toBe(false);
  expect(isSeen([call(106_000)], [forgetting(true)])).toBe(true);
  expect(isSeen([call(104_000)], [{ ...forgetting(true), chat: 'another' }])).toBe(true);
});

test('one that nobody confirmed may be done within a minute after it was given up', () => {
  expect(isSeen([call(164_000)], [forgetting(false)])).toBe(false);
  expect(isSeen([call(166_000)], [forgetting(false)])).toBe(true);
});

test('it was not done after a session that is left was there', () => {
  expect(isSeen([call(110_000)], [forgetting(false)], 111_000)).toBe(false);
  expect(isSeen([call(112_000)], [forgetting(false)], 111_000)).toBe(true);
  expect(isSeen([call(166_000)], [forgetting(false)], 170_000)).toBe(true);
});

test('what was accepted once more after it must be there, what was only said once more not', () => {
  expect(isSeen([call(90_000), call(106_000)], [forgetting(true)])).toBe(true);
  expect(isSeen([call(90_000), call(106_000, false)], [forgetting(true)])).toBe(false);
});

test('of several the last counts', () => {
  const [known, unknown] = [forgetting(true), forgetting(false)];
  expect(isSeen([call(150_000)], [unknown, known])).toBe(false);
  expect(isSeen([call(150_000)], [known, unknown])).toBe(false);
});
