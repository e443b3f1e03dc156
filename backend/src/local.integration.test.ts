import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chown, readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  createDataFolder,
  killProcessesOn,
  listProcessesOn,
  postmasterOn,
  waitUntil,
} from '#test/data-folder.ts';
import { startFakeModel } from '#test/fake-model.ts';
import { startLocal } from '#test/local-start.ts';
import type { LocalStart } from '#test/local-start.ts';

// Each test starts PostgreSQL several times, perhaps beside a machine's other work.
vi.setConfig({ testTimeout: 120_000 });

const nobody = { uid: 65_534, gid: 65_534 };
const canRunAsNobody =
  process.getuid?.() === 0 &&
  spawnSync(process.execPath, [join(import.meta.dirname, 'config.ts')], { ...nobody, cwd: '/' })
    .status === 0;

/** Ctrl-C, and proof that it ended well and left nothing behind. */
async function stopsCleanly(local: LocalStart, dataDir: string): Promise<void> {
  expect((await listProcessesOn(dataDir)).length).toBeGreaterThan(1);
  local.signal('SIGINT');
  expect(await local.ended).toMatchObject({ code: 0, stderr: '' });
  expect(await listProcessesOn(dataDir)).toEqual([]);
}

/** It ended with an error of exactly one line. */
async function failsWithLine(local: LocalStart, line: string | RegExp): Promise<void> {
  const { code, stdout, stderr } = await local.ended;
  expect(stderr).toMatch(line);
  expect(stderr.trimEnd()).not.toContain('\n');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
}

interface Message {
  id: string;
  role: string;
  content: string;
}

/** Says something in a chat, and resolves with the reply. */
async function say(url: string, chatId: string, text: string): Promise<Message> {
  const response = await fetch(`${url}/v1/chat/handle`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user_id: 'ada', chat_id: chatId, text }),
  });
  const body = await response.text();
  if (!response.ok) throw new Error(body);
  const reply: { reply_message_id: string; text: string } = JSON.parse(body);
  return { id: reply.reply_message_id, role: 'assistant', content: reply.text };
}

async function messagesOf(url: string, chatId: string): Promise<Message[]> {
  const response = await fetch(`${url}/v1/chats/${chatId}/export`);
  const { sessions }: { sessions: { messages: Message[] }[] } = JSON.parse(await response.text());
  return sessions.flatMap(({ messages }) => messages);
}

test('without any key it answers from memory, which outlives Ctrl-C', async () => {
  const dataDir = await createDataFolder();
  const first = startLocal({ DATA_DIR: dataDir });
  const url = await first.ready;
  const health = await fetch(`${url}/health`);
  expect([health.status, await health.json()]).toMatchObject([200, { status: 'ok' }]);
  await say(url, 'riga', 'My name is Ada and I live in Riga.');
  expect((await say(url, 'riga', 'What is my name?')).content).toMatch(/^\[offline\].*name is Ada/);
  await stopsCleanly(first, dataDir);

  const second = startLocal({ DATA_DIR: dataDir });
  const reply = await say(await second.ready, 'riga', 'Where do I live?');
  expect(reply.content).toContain('I live in Riga');
  expect(await messagesOf(await second.ready, 'riga')).toHaveLength(6);
  await stopsCleanly(second, dataDir);
});

test('it serves the chat page, and brings back a PostgreSQL that dies, with its data', async () => {
  const dataDir = await createDataFolder();
  const local = startLocal({ DATA_DIR: dataDir });
  const url = await local.ready;
  const page = await fetch(url);
  expect([page.status, page.headers.get('content-type')]).toEqual([
    200,
    'text/html; charset=UTF-8',
  ]);
  expect(await page.text()).toContain('<title>LLM Bot Core</title>');

  await say(url, 'riga', 'My name is Ada and I live in Riga.');
  process.kill(await postmasterOn(dataDir), 'SIGKILL');
  await waitUntil(async () => (await fetch(`${url}/health`)).status === 503);
  await waitUntil(async () => (await fetch(`${url}/health`)).status === 200);
  expect((await say(url, 'riga', 'Where do I live?')).content).toContain('I live in Riga');
  expect(await messagesOf(url, 'riga')).toHaveLength(4);
  await stopsCleanly(local, dataDir);
  const { stdout } = await local.ended;
  expect(stdout.match(/had died; it was started again/g)).toHaveLength(1);
});

test('a Ctrl-C in the middle of the first start ends it cleanly too', async () => {
  const dataDir = await createDataFolder();
  const local = startLocal({ DATA_DIR: dataDir });
  await waitUntil(async () => (await readdir(dataDir)).length > 0);
  local.signal('SIGINT');
  expect(await local.ended).toMatchObject({ code: 0, stderr: '' });
  expect(await listProcessesOn(dataDir)).toEqual([]);
});

test.each(['the node process', 'the whole tree'])(
  'kill -9 of %s in the middle of turns loses nothing that was answered',
  async (what) => {
    const dataDir = await createDataFolder();
    const model = await startFakeModel();
    onTestFinished(() => model.close());
    model.behave(({ messages }) =>
      messages.at(-1)?.content === 'Take your time' ? { kind: 'hang' } : { kind: 'reply' },
    );
    const environment = { DATA_DIR: dataDir, LLM_BASE_URL: model.url, LLM_MODEL: 'fake-model' };
    const first = startLocal(environment);
    const url = await first.ready;
    await say(url, 'calm', 'My name is Ada.');
    say(url, 'calm', 'Take your time').catch(() => {});
    const answered: Message[] = [];
    const chats = ['busy-1', 'busy-2', 'busy-3'];
    const talks = Promise.allSettled(
      chats.map(async (chatId) => {
        for (;;) answered.push(await say(url, chatId, `Line ${answered.length}`));
      }),
    );
    await waitUntil(async () => answered.length >= 30);
    const before = await messagesOf(url, 'calm');
    if (what === 'the whole tree') await killProcessesOn(dataDir);
    else process.kill(first.pid, 'SIGKILL');
    await Promise.all([first.ended, talks]);

    const second = startLocal(environment);
    const newUrl = await second.ready;
    expect(await messagesOf(newUrl, 'calm')).toEqual(before);
    expect(before.map(({ content }) => content).at(-1)).toBe('Take your time');
    const kept = await Promise.all(chats.map((chatId) => messagesOf(newUrl, chatId)));
    const contentOf = new Map(kept.flat().map(({ id, content }) => [id, content]));
    expect(answered.filter(({ id, content }) => contentOf.get(id) !== content)).toEqual([]);
    await stopsCleanly(second, dataDir);
  },
);

test('starts over after kill -9 in the middle of the first start', async () => {
  const dataDir = await createDataFolder();
  const first = startLocal({ DATA_DIR: dataDir });
  await waitUntil(async () => (await readdir(dataDir)).length > 0);
  await killProcessesOn(dataDir);
  await first.ended;
  expect(await readdir(dataDir)).not.toContain('postgres');

  const second = startLocal({ DATA_DIR: dataDir });
  await second.ready;
  expect(await readdir(dataDir)).toEqual(['postgres']);
  await stopsCleanly(second, dataDir);
});

test('of two starts on one folder one runs, the other says so', async () => {
  const dataDir = await createDataFolder();
  const both = [startLocal({ DATA_DIR: dataDir }), startLocal({ DATA_DIR: dataDir })];
  const loser = await Promise.race(both.map((local) => local.ended.then(() => local)));
  const winner = both.find((local) => local !== loser)!;
  await failsWithLine(
    loser,
    `DATA_DIR: another start already runs on ${dataDir}/postgres (process ${winner.pid})`,
  );
  expect((await fetch(`${await winner.ready}/health`)).status).toBe(200);
  await stopsCleanly(winner, dataDir);
});

test('a port in use is one line, and PostgreSQL is stopped again', async () => {
  const dataDir = await createDataFolder();
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? String(address?.port) : '';
  const local = startLocal({ DATA_DIR: dataDir, PORT: port });
  await failsWithLine(local, `PORT: ${port} is in use on 127.0.0.1; set PORT to another`);
  expect(await listProcessesOn(dataDir)).toEqual([]);
  server.close();
});

test('a host of another machine is one line', async () => {
  const dataDir = await createDataFolder();
  const local = startLocal({ DATA_DIR: dataDir, HOST: '192.0.2.1', API_KEY: 'secret' });
  await failsWithLine(local, 'HOST: 192.0.2.1 is not an address of this machine');
  expect(await listProcessesOn(dataDir)).toEqual([]);
});

test('a database that cannot be reached is one line, and no other is started', async () => {
  const dataDir = await createDataFolder();
  const DATABASE_URL = 'postgres://bot:hidden@127.0.0.1:1/bot';
  await failsWithLine(
    startLocal({ DATA_DIR: dataDir, DATABASE_URL }),
    /^DATABASE_URL: (?!.*hidden).*127\.0\.0\.1:1/,
  );
  expect(await readdir(dataDir)).toEqual([]);
});

test('a data folder that cannot be is one line', async () => {
  await failsWithLine(startLocal({ DATA_DIR: '/dev/null/x' }), /^DATA_DIR: \/dev\/null\/x cannot/);
});

test.runIf(canRunAsNobody)(
  'runs as an ordinary user, whose folder root then takes over',
  async () => {
    const dataDir = await createDataFolder();
    await failsWithLine(startLocal({ DATA_DIR: dataDir }, nobody), /^DATA_DIR: .*EACCES/);

    await chown(dataDir, nobody.uid, nobody.gid);
    const local = startLocal({ DATA_DIR: dataDir }, nobody);
    expect((await fetch(`${await local.ready}/health`)).status).toBe(200);
    await stopsCleanly(local, dataDir);

    const asRoot = startLocal({ DATA_DIR: dataDir });
    await asRoot.ready;
    await stopsCleanly(asRoot, dataDir);
  },
);

test('a wrong environment lists every problem at once, without a stack', async () => {
  const { code, stderr } = await startLocal({ PORT: 'eighty', DATABASE_URL: 'mysql://x' }).ended;
  expect(code).toBe(1);
  expect(stderr.trimEnd().split('\n')).toEqual([
    'The configuration cannot be used:',
    '  PORT: must be a whole number',
    '  DATABASE_URL: must be a URL like postgres://user:password@host:5432/name',
  ]);
});

test('a folder that is not a PostgreSQL of ours is one line and stays as it is', async () => {
  const dataDir = await createDataFolder();
  await writeFile(join(dataDir, 'postgres'), 'a letter');
  await failsWithLine(startLocal({ DATA_DIR: dataDir }), /postgres was not made by this program/);
});
