import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packContextLog, unpackContextLog } from './context-log.ts';
import type { ContextLog } from './context-log.ts';

const count = fc.nat(100_000);
const id = fc.bigInt(1n, 9_000_000_000_000_000_000n).map(String);

const window: fc.Arbitrary<ContextLog['window']> = fc.oneof(
  fc.constant({ first_message_id: null, last_message_id: null, messages: 0, tokens: 0 }),
  fc.record({ first_message_id: id, last_message_id: id, messages: count, tokens: count }),
);

const recalled = fc.record({
  memory_id: id,
  source: fc.constantFrom('message' as const, 'summary' as const),
  message_id: fc.option(id),
  session_id: fc.uuid(),
  role: fc.constantFrom('user', 'assistant', 'system'),
  score: fc.double({ min: 0, max: 100, noNaN: true }).map((score) => score + 0),
  created_at: fc.constant('2026-01-01T00:00:00Z'),
  tokens: count,
});

const contextLog: fc.Arbitrary<ContextLog> = fc.record({
  instruction: fc.record({ tokens: count }),
  summary: fc.option(fc.record({ id, version: count, last_message_id: id, tokens: count })),
  window,
  recalled: fc.array(recalled, { maxLength: 3 }),
  message: fc.record({ tokens: count }),
  left_out: fc.record({ messages: count, unanswered_messages: count, memories: count }),
  prompt_tokens_estimated: count,
  token_budget: count,
  notes: fc.array(fc.constantFrom('token_budget_exceeded', 'recall_failed'), { maxLength: 2 }),
});

test('what is stored says all that was logged', () => {
  fc.assert(
    fc.property(contextLog, (log) => {
      const stored = JSON.parse(JSON.stringify(packContextLog(log)));
      expect(unpackContextLog(stored)).toEqual(log);
    }),
  );
});

test('what is empty takes no room', () => {
  const log: ContextLog = {
    instruction: { tokens: 11 },
    summary: null,
    window: { first_message_id: null, last_message_id: null, messages: 0, tokens: 0 },
    recalled: [],
    message: { tokens: 7 },
    left_out: { messages: 0, unanswered_messages: 0, memories: 0 },
    prompt_tokens_estimated: 18,
    token_budget: 100,
    notes: [],
  };
  expect(packContextLog(log)).toEqual({
    tokens: { instruction: 11, message: 7, prompt: 18, budget: 100 },
  });
});

test('a turn that ended before it had a prompt has no log', () => {
  expect(unpackContextLog(null)).toBeUndefined();
  expect(unpackContextLog({})).toBeUndefined();
});
