import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readCompose } from './deploy/compose.ts';

const root = path.join(import.meta.dirname, '..', '..');
const documents = [
  'README.md',
  'README.ru.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'docs/operations.md',
  'docs/performance.md',
  'docs/scaling.md',
];
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

const sources = globSync(['{backend,telegram-bot,directus}/{src,test,extensions}/**/*.ts'], {
  cwd: root,
});

test.each(documents)('%s names only files that exist', (document) => {
  const named = [...read(document).matchAll(/`([\w./-]+\.ts)`/g)].map((match) => match[1] ?? '');
  for (const name of named) {
    expect(
      sources.some((file) => `/${file}`.endsWith(`/${name}`)),
      name,
    ).toBe(true);
  }
});

test.each(documents)('%s links only to files that exist', (document) => {
  for (const [, target = ''] of read(document).matchAll(/\]\(((?!https?:)[^)#]+)\)/g)) {
    expect(existsSync(path.join(root, path.dirname(document), target)), target).toBe(true);
  }
});

test.each(documents)('%s shows only commands that exist', (document) => {
  const { scripts } = JSON.parse(read('package.json'));
  for (const [, command = ''] of read(document).matchAll(/npx -y pnpm@12 ([\w:]+)/g)) {
    if (command !== 'install') expect(scripts).toHaveProperty([command]);
  }
});

test('SECURITY.md names only tests that exist, at least one for each risk that is met', () => {
  const rows = read('SECURITY.md')
    .split('\n')
    .filter((line) => line.startsWith('| ') && line.split('|').length === 5)
    .filter((line) => !/^\| (risk|danger|---)/.test(line));
  expect(rows).toHaveLength(10 + 7);
  const named = rows.map((row) => [...row.matchAll(/`([\w.-]+\.test\.ts)`: "([^"]+)"/g)]);
  // What is no secret (LLM07) needs no test.
  expect(named.filter((tests) => tests.length === 0)).toHaveLength(1);
  for (const [, file = '', name = ''] of named.flat()) {
    const found = sources.filter((source) => source.endsWith(`/${file}`));
    expect(
      found.some((source) => read(source).includes(name)),
      `${file}: ${name}`,
    ).toBe(true);
  }
});

test('ARCHITECTURE.md says why each dependency is there', () => {
  const architecture = read('ARCHITECTURE.md');
  const dependencies = [
    'package.json',
    'backend/package.json',
    'telegram-bot/package.json',
    'directus/package.json',
  ]
    .map((file) => JSON.parse(read(file)))
    .flatMap((manifest) => Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }))
    .filter((name) => !name.startsWith('@types/'));
  expect(dependencies.filter((name) => !architecture.includes(name))).toEqual([]);
});

test('diagram.png is drawn from diagram.svg as it is now: `pnpm diagram`', () => {
  const source = createHash('sha256').update(read('diagram.svg')).digest('hex');
  const picture = readFileSync(path.join(root, 'diagram.png'));
  expect(picture.includes(`tEXtsource\0${source}`)).toBe(true);
});

test('the diagram shows every part that runs', () => {
  for (const name of Object.keys(readCompose('docker-compose.rag.yml').services)) {
    expect(read('diagram.svg')).toContain(`>${name}<`);
  }
});
