import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = path.join(import.meta.dirname, '..', '..');
const oxlint = path.join(root, 'node_modules', '.bin', 'oxlint');

/** One import for each boundary that must not be crossed: where it stands, and what it imports. */
const crossings: [file: string, imported: string][] = [
  ['backend/src/http/bad.ts', '#src/db/connect.ts'],
  ['backend/src/http/bad.ts', '#src/clients/model.ts'],
  ['backend/src/http/bad.ts', '#src/jobs/queues.ts'],
  ['backend/src/http/bad.ts', '../db/connect.ts'],
  ['backend/src/http/bad.ts', 'kysely'],
  ['backend/src/http/bad.ts', 'bullmq'],
  ['backend/src/chat/bad.ts', '#src/http/app.ts'],
  ['backend/src/chat/bad.ts', '#src/jobs/workers.ts'],
  ['backend/src/chat/bad.ts', 'hono'],
  ['backend/src/chat/bad.ts', 'bullmq'],
  ['backend/src/memory/bad.ts', '#src/chat/chat.ts'],
  ['backend/src/memory/bad.ts', '#src/http/app.ts'],
  ['backend/src/memory/bad.ts', '#src/jobs/workers.ts'],
  ['backend/src/memory/bad.ts', '@hono/node-server'],
  ['backend/src/jobs/bad.ts', '#src/http/app.ts'],
  ['backend/src/jobs/bad.ts', 'hono'],
  ['backend/src/db/bad.ts', '#src/memory/count-tokens.ts'],
  ['backend/src/db/bad.ts', '#src/chat/chat.ts'],
  ['backend/src/clients/bad.ts', '#src/memory/count-tokens.ts'],
  ['backend/src/clients/bad.ts', '../db/connect.ts'],
  ['backend/src/db/migrations/bad.ts', '#src/errors.ts'],
  ['telegram-bot/src/bad.ts', '../../backend/src/errors.ts'],
  ['telegram-bot/src/bad.ts', '@llm-bot-core/backend'],
  ['directus/src/bad.ts', '../../backend/src/errors.ts'],
  ['directus/extensions/desk/api/bad.ts', '../../../../backend/src/errors.ts'],
];

/** Imports that the same rules must let pass. */
const allowed: [file: string, imported: string][] = [
  ['backend/src/http/good.ts', '#src/chat/chat.ts'],
  ['backend/src/chat/good.ts', '#src/jobs/queues.ts'],
  ['backend/src/memory/good.ts', '#src/db/connect.ts'],
  ['backend/src/jobs/good.ts', '#src/memory/count-tokens.ts'],
  ['backend/src/db/good.ts', '#src/errors.ts'],
  ['backend/src/api.ts', './http/app.ts'],
];

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'boundaries-'));
  cpSync(path.join(root, '.oxlintrc.json'), path.join(folder, '.oxlintrc.json'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(crossings)('%s may not import %s', (file, imported) => {
  expect(lint(file, imported)).toContain('no-restricted-imports');
});

test.each(allowed)('%s may import %s', (file, imported) => {
  expect(lint(file, imported)).not.toContain('no-restricted-imports');
});

test('only the configuration reads the environment', () => {
  const source = 'export const key = process.env.KEY;\n';
  expect(lintSource('backend/src/chat/bad.ts', source)).toContain('no-process-env');
  expect(lintSource('backend/src/config.ts', source)).not.toContain('no-process-env');
});

function lint(file: string, imported: string): string {
  return lintSource(
    file,
    `import { something } from '${imported}';\nexport const x = something;\n`,
  );
}

/** What oxlint prints for one file under the project's own configuration. */
function lintSource(file: string, source: string): string {
  const target = path.join(folder, file);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, source);
  try {
    return execFileSync(oxlint, [file], { cwd: folder, encoding: 'utf8' });
  } catch (error) {
    // A finding ends oxlint with status 1; what it printed is the answer.
    if (error instanceof Error && 'stdout' in error) return String(error.stdout);
    throw error;
  }
}
