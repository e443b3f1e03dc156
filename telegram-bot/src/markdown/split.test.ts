import { expect, test } from 'vitest';
import { renderMarkdown } from './render.ts';
import { splitFormatted } from './split.ts';

const texts = (markdown: string, limit: number) =>
  splitFormatted(renderMarkdown(markdown), limit).map((piece) => piece.text);

test('a paragraph’s end is the best place to cut, then a line’s, then a space', () => {
  expect(texts('one two three\n\nfour five six', 20)).toEqual(['one two three', 'four five six']);
  expect(texts('one two three\nfour five six', 20)).toEqual(['one two three', 'four five six']);
  expect(texts('one two three four five six', 20)).toEqual(['one two three four', 'five six']);
});

test('where there is nothing better, the limit cuts, but no letter in two', () => {
  expect(texts('abcdefghij', 4)).toEqual(['abcd', 'efgh', 'ij']);
  expect(texts('🙂🙂🙂', 3)).toEqual(['🙂', '🙂', '🙂']);
  expect(texts('ab👩‍👩‍👧cd', 9)).toEqual(['ab', '👩‍👩‍👧c', 'd']);
});

test('code goes on as code in the next message, with its indentation', () => {
  const pieces = splitFormatted(renderMarkdown('```py\nif a:\n    b()\n    c()\n```'), 16);
  expect(pieces.map((piece) => piece.text)).toEqual(['if a:\n    b()', '    c()']);
  for (const { text, entities } of pieces) {
    expect(entities).toEqual([{ type: 'pre', language: 'py', offset: 0, length: text.length }]);
  }
});

test('a message has no more entities than Telegram shows', () => {
  const pieces = splitFormatted(renderMarkdown('**b** '.repeat(250)));
  expect(pieces.map((piece) => piece.entities.length)).toEqual([100, 100, 50]);
});

test('an empty line in code is not a paragraph’s end', () => {
  expect(texts('before it\n\n```\none\n\ntwo three four\n```', 24)).toEqual([
    'before it',
    'one\n\ntwo three four',
  ]);
});
