import { execFile } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { root } from './compose.ts';

const units = globSync('*/systemd/*.service', { cwd: root }).toSorted();
const read = (unit: string) => readFileSync(path.join(root, unit), 'utf8');

/** The settings of a unit. Where one stands twice, the test would not know which counts. */
function settingsOf(unit: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const line of read(unit).split('\n')) {
    const [, name = '', value = ''] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    if (name === '') expect(line).toMatch(/^(\[(Unit|Service|Install)\])?$/);
    else {
      expect(settings.has(name), name).toBe(false);
      settings.set(name, value);
    }
  }
  return settings;
}

test('each process has its unit, beside its code', () => {
  expect(units.map((unit) => path.basename(unit))).toEqual([
    'llm-bot-core-api.service',
    'llm-bot-core-worker.service',
    'llm-bot-core-panel.service',
    'llm-bot-core-telegram-bot.service',
  ]);
});

test.each(units)('%s runs what is there, with its rights alone', (unit) => {
  const settings = settingsOf(unit);
  const folder = settings.get('WorkingDirectory') ?? '';
  const [program = '', ...words] = settings.get('ExecStart')?.split(' ') ?? [];
  const entry = words.at(-1) ?? '';
  expect(existsSync(program.replace(folder, root)), program).toBe(true);
  expect(existsSync(path.join(root, entry)), entry).toBe(true);
  expect(entry.split('/')[0]).toBe(unit.split('/')[0]);
  expect(settings.get('EnvironmentFile')).toBe(`${folder}/.env`);
  expect(Object.fromEntries(settings)).toMatchObject({
    User: 'llm-bot-core',
    Restart: 'always',
    TimeoutStopSec: '30',
    NoNewPrivileges: 'yes',
    ProtectSystem: 'strict',
    CapabilityBoundingSet: '',
    MemoryMax: expect.stringMatching(/^\d+M$/),
    WantedBy: 'multi-user.target',
  });
  const others = settings.get('After')?.match(/llm-bot-core[\w-]*\.service/g) ?? [];
  const known = units.map((file) => path.basename(file));
  expect(known).toEqual(expect.arrayContaining(others));
});

test('systemd, where there is one, has nothing to say against them', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'llm-bot-core-units-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const files = units.map((unit) => path.join(folder, path.basename(unit)));
  for (const [index, unit] of units.entries()) {
    writeFileSync(files[index] ?? '', read(unit).replaceAll('/opt/llm-bot-core', root));
  }
  const said = await promisify(execFile)('systemd-analyze', ['verify', ...files]).catch(
    (error: NodeJS.ErrnoException & { stderr: string }) => {
      if (error.code === 'ENOENT') return { stderr: '' };
      return error;
    },
  );
  expect(said.stderr.split('\n').filter((line) => line.includes('llm-bot-core'))).toEqual([]);
});
