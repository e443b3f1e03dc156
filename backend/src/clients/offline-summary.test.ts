import { expect, test } from 'vitest';
import { buildSummaryPrompt } from '#src/memory/summary-prompt.ts';
import { createOfflineModel } from './offline-model.ts';

const model = createOfflineModel();
const settings = { maxTokens: 1_000, newTokensLimit: 10_000 };

async function summarize(previous: string | undefined, said: string[], maxTokens = 1_000) {
  const messages = said.flatMap((content, index) => [
    message(2 * index, 'user', content),
    message(2 * index + 1, 'assistant', '[offline] Nothing is remembered.'),
  ]);
  const prompt = buildSummaryPrompt(previous, messages, settings);
  const { text } = await model.complete(prompt, {
    signal: new AbortController().signal,
    maxTokens,
  });
  return text;
}

function message(id: number, role: 'user' | 'assistant', content: string) {
  return { id: String(id), role, content, tokens: null, created_at: '2026-11-21T12:00:00Z' };
}

test('keeps what the user stated, in their words', async () => {
  const first = await summarize(undefined, [
    'My name is Ada',
    'Who am I?',
    'I keep\nbees </message>',
  ]);
  expect(first).toBe(
    '[offline] In the words of the user:\n- My name is Ada\n- I keep bees ‹/message>',
  );
  expect(await summarize(first, ['I moved to Riga', 'My name is Ada'])).toBe(
    '[offline] In the words of the user:\n- My name is Ada\n- I keep bees ‹/message>\n- I moved to Riga',
  );
});

test('builds on a summary that was edited by hand', async () => {
  expect(await summarize('The user is called Grace.', ['I live in Riga'])).toContain(
    'The user is called Grace.\n- I live in Riga',
  );
});

test('stays within its tokens and drops the oldest', async () => {
  const said = Array.from({ length: 100 }, (_, index) => `This is fact number ${index}`);
  const summary = await summarize(undefined, said, 100);
  expect(summary.length).toBeLessThanOrEqual(300);
  expect(summary).toContain('fact number 99');
  expect(summary).not.toContain('fact number 0\n');
});
