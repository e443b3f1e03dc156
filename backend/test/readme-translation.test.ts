import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const read = (file: string) => readFileSync(path.join(import.meta.dirname, '../..', file), 'utf8');
const english = read('README.md');
const russian = read('README.ru.md');

const fence = /^```(\w*)\n(.*?)^```$/gms;
const prose = (text: string) => text.replaceAll(fence, '');
const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((m) => m[1] ?? '');

/** Headings by their depth alone, blocks, tables: what stands where. */
const outline = (text: string) =>
  all(text, /^(#+ |```\w+$|\| --- .*|- (?=\*\*)|!\[)/gm).map((mark) => mark.trim());

/** Commands and statements without what explains them. */
const commands = (text: string) =>
  [...text.matchAll(fence)].map(([, language = '', block = '']) => [
    language,
    ...block
      .split('\n')
      .filter((line) => !line.startsWith('-- '))
      .map((line) => line.replace(/ +# .*/, '')),
  ]);

test('README.ru.md has the same parts in the same order', () => {
  expect(outline(russian)).toEqual(outline(english));
});

test('README.ru.md shows the same commands', () => {
  expect(commands(russian)).toEqual(commands(english));
});

test('README.ru.md has the same rows, variables and defaults', () => {
  const rows = (text: string) =>
    all(text, /^(\| `.*)$/gm).map((row) => row.split(' | ').slice(0, -1));
  expect(rows(english).length).toBeGreaterThan(50);
  expect(rows(russian)).toEqual(rows(english));
});

test('README.ru.md names the same files, calls and variables', () => {
  const named = (text: string) => new Set(all(prose(text), /`([^`\n]+)`/g));
  expect(named(russian)).toEqual(named(english));
});

test('README.ru.md has the same links, and the two lead to each other', () => {
  const links = (text: string) => all(prose(text), /\]\(([^)]+)\)/g);
  const others = (text: string) => links(text).filter((link) => !/^README\.(ru\.)?md$/.test(link));
  expect(others(russian).toSorted()).toEqual(others(english).toSorted());
  expect(links(russian)).toContain('README.md');
  expect(links(english)).toContain('README.ru.md');
});
