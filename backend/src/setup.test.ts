import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseEnv, promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const run = promisify(execFile);

function createFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'llm-bot-core-setup-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const setup = (cwd: string) =>
  run(process.execPath, [path.join(import.meta.dirname, 'setup.ts')], { cwd });

test('.env is written with secrets that nobody else has, for its owner alone', async () => {
  const folders = [createFolder(), createFolder()];
  const written = await Promise.all(
    folders.map(async (cwd) => {
      await setup(cwd);
      expect(statSync(path.join(cwd, '.env')).mode & 0o777).toBe(0o600);
      return parseEnv(readFileSync(path.join(cwd, '.env'), 'utf8'));
    }),
  );
  const secrets = written.flatMap(({ BOT_TOKEN, OPENROUTER_API_KEY, ...rest }) => {
    expect([BOT_TOKEN, OPENROUTER_API_KEY]).toEqual(['', '']);
    expect(rest.BACKEND_API_KEY).toBe(rest.API_KEY);
    delete rest.BACKEND_API_KEY;
    return Object.values(rest);
  });
  for (const secret of secrets) expect(secret).toMatch(/^[0-9a-f]{64}$/);
  expect(new Set(secrets).size).toBe(secrets.length);
});

test('an .env that is there stays as it is, and what it lacks is named', async () => {
  const cwd = createFolder();
  const mine = 'API_KEY=mine\nREDIS_PASSWORD=\n';
  writeFileSync(path.join(cwd, '.env'), mine);
  const refused = await setup(cwd).catch((error: unknown) => error);
  expect(refused).toMatchObject({
    code: 1,
    stdout: '.env is there already; nothing in it was changed.\n',
    stderr: expect.stringMatching(
      /^It has no POSTGRES_PASSWORD, REDIS_PASSWORD, BACKEND_API_KEY, DESK_API_KEY, ADMIN_PASSWORD, QDRANT_API_KEY, WEBHOOK_SECRET\. Add/,
    ),
  });
  expect(readFileSync(path.join(cwd, '.env'), 'utf8')).toBe(mine);
});

test('a second run changes nothing', async () => {
  const cwd = createFolder();
  await setup(cwd);
  const before = readFileSync(path.join(cwd, '.env'), 'utf8');
  expect((await setup(cwd)).stdout).toContain('nothing in it was changed');
  expect(readFileSync(path.join(cwd, '.env'), 'utf8')).toBe(before);
});
