import { expect, test } from 'vitest';
import { dictionaries, textsFor } from './texts.ts';

function keysOf(value: object, path = ''): string[] {
  return Object.entries(value).flatMap(([key, inner]) =>
    typeof inner === 'object' ? keysOf(inner, `${path}${key}.`) : [`${path}${key}:${typeof inner}`],
  );
}

test('every dictionary has the same keys', () => {
  expect(keysOf(dictionaries.ru).sort()).toEqual(keysOf(dictionaries.en).sort());
});

test('who speaks neither is spoken to in English', () => {
  expect(['ru', 'ru-RU', 'RU'].map(textsFor)).toEqual(Array(3).fill(dictionaries.ru));
  expect(['en', 'de', 'run', undefined].map(textsFor)).toEqual(Array(4).fill(dictionaries.en));
});
