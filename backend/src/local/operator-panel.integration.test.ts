import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { freePort } from '#src/local/free-port.ts';
import { clientOf } from '#test/api.ts';
import { createDataFolder, listProcessesOn, waitUntil } from '#test/data-folder.ts';
import { eventually } from '#test/eventually.ts';
import { startLocal } from '#test/local-start.ts';

// Directus takes its time on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

const PATIENCE_MS = 240_000;

function answers(url: string, chat: string) {
  return clientOf(url).handle({ chat_id: chat, text: 'Hello' });
}

async function pidOfDirectus(dataDir: string): Promise<number> {
  for (const pid of await listProcessesOn(dataDir)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes('run-directus.ts\0serve')) return pid;
  }
  throw new Error('Directus does not run');
}

test('the first start brings the panel up; whatever becomes of it, chats are answered', async () => {
  const dataDir = await createDataFolder();
  const port = await freePort();
  const local = startLocal({ DATA_DIR: dataDir, ADMIN_PANEL: 'on', ADMIN_PORT: String(port) });
  const url = await local.ready;
  expect((await answers(url, 'before the panel')).status).toBe(200);

  const panel = clientOf(`http://127.0.0.1:${port}`);
  await eventually(() => expect(local.output()).toContain(`${panel.url}/\n`), PATIENCE_MS);
  const printed = /Sign in as (\S+) with the password (\S+) \(kept in (\S+)\)/.exec(local.output());
  const [, email, password = '', file = ''] = printed ?? [];
  expect(file).toBe(join(dataDir, 'panel', 'admin-password'));
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await readFile(file, 'utf8')).trim()).toBe(password);
  expect((await panel.post('/auth/login', { email, password })).status).toBe(200);

  const directus = await pidOfDirectus(dataDir);
  const environment = await readFile(`/proc/${directus}/environ`, 'utf8');
  const owner = await readFile(join(dataDir, 'postgres', 'llm-bot-core.password'), 'utf8');
  expect(environment).not.toContain(owner.trim());

  process.kill(directus, 'SIGSTOP');
  expect((await answers(url, 'while the panel hangs')).status).toBe(200);
  process.kill(directus, 'SIGKILL');
  await eventually(() => expect(local.output()).toContain("the operators' panel has ended"));
  expect((await answers(url, 'after the panel')).status).toBe(200);
  local.signal('SIGINT');
  expect(await local.ended).toMatchObject({ code: 0 });
  expect(await listProcessesOn(dataDir)).toEqual([]);

  const again = startLocal({ DATA_DIR: dataDir, ADMIN_PANEL: 'on', ADMIN_PORT: String(port) });
  await eventually(() => expect(again.output()).toContain(`${panel.url}/\n`), PATIENCE_MS);
  expect(again.output()).not.toContain(password);
  again.signal('SIGINT');
  expect(await again.ended).toMatchObject({ code: 0, stderr: '' });
  expect(await listProcessesOn(dataDir)).toEqual([]);
});

test('a Ctrl-C or a kill -9 while the panel is being set up leaves no process', async () => {
  const dataDir = await createDataFolder();
  const port = String(await freePort());
  const runsDirectus = async () => {
    const pids = await listProcessesOn(dataDir);
    const commands = await Promise.all(
      pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
    );
    return commands.some((command) => command.includes('run-directus.ts'));
  };
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    const local = startLocal({ DATA_DIR: dataDir, ADMIN_PANEL: 'on', ADMIN_PORT: port });
    await waitUntil(runsDirectus);
    if (signal === 'SIGINT') local.signal(signal);
    else process.kill(local.pid, signal);
    await local.ended;
    await waitUntil(async () => !(await runsDirectus()));
  }
});

test('where the port of the panel is taken it says so in one line, and the rest runs', async () => {
  const dataDir = await createDataFolder();
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? String(address?.port) : '';
  const local = startLocal({ DATA_DIR: dataDir, ADMIN_PANEL: 'on', ADMIN_PORT: port });
  const url = await local.ready;
  await eventually(() => expect(local.output()).toContain("the operators' panel has ended"));
  expect((await answers(url, 'without a panel')).status).toBe(200);
  local.signal('SIGINT');
  const { stderr } = await local.ended;
  expect(stderr.trimEnd()).toMatch(/^ADMIN_PORT: the panel cannot listen on .*$/);
  server.close();
});
