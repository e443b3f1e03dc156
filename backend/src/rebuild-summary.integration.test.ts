import { execFile } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mark, startMarkedModel } from '#test/marked-model.ts';
import type { MarkedModel } from '#test/marked-model.ts';
import { eventually, serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';

const entry = path.join(import.meta.dirname, 'rebuild-summary.ts');

let model: MarkedModel;
let chats: ServedChats;

beforeAll(async () => {
  model = await startMarkedModel();
  chats = await serveChats({
    LLM_BASE_URL: model.url,
    LLM_MODEL: 'marked',
    SUMMARY_THRESHOLD: '20',
    SUMMARY_NEW_MESSAGES_LIMIT: '8',
  });
  await chats.startWorker();
});

afterAll(async () => {
  await chats.close();
  await model.close();
});

async function rebuild(
  sessionId: string,
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH, ...chats.environment, DATABASE_URL: chats.databaseUrl };
  return await new Promise((resolve) => {
    execFile(process.execPath, [entry, sessionId], { env }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, stdout, stderr });
    });
  });
}

test('writes the summary anew from all messages, and keeps the earlier versions', async () => {
  for (let index = 0; index < 11; index += 1) await chats.say('c', `${mark('c', index)} and so on`);
  const list = () =>
    chats.sql<{ session_id: string; version: number; content: string; last_message_id: string }>(
      'select * from conversation_summaries order by version',
    );
  await eventually(async () => (await list()).length === 3, 10, list);
  await chats.sql(`update conversation_summaries set content = 'Something wrong altogether.'
    where version = 3`);
  const before = await list();

  const { code, stdout } = await rebuild(before[0]?.session_id ?? '');
  expect(code).toBe(0);
  expect(stdout.trim().split('\n')).toEqual([
    '8 messages summarised',
    '16 messages summarised',
    '22 messages summarised',
    'Version 4 is written; it covers 22 messages. Earlier versions are kept.',
  ]);
  const after = await list();
  expect(after.slice(0, 3)).toEqual(before);
  const all = Array.from({ length: 11 }, (_, index) => [mark('c', index), `[c:${index}r]`]).flat();
  expect(after[3]?.content.match(/\[c:\d+r?\]/g)).toEqual(all);
  expect(after[3]?.content).not.toContain('wrong');
  expect(after[3]?.last_message_id).toBe(before[2]?.last_message_id);

  await chats.say('c', `${mark('c', 11)} and so on`);
  expect(model.violations).toEqual([]);
});

test('says what is wrong in one line', async () => {
  expect(await rebuild('c')).toMatchObject({
    code: 1,
    stderr:
      'Usage: pnpm summaries:rebuild <session>, where <session> is an id (a UUID) from chat_sessions.\n',
  });
  expect(await rebuild('00000000-0000-4000-8000-000000000000')).toMatchObject({
    code: 1,
    stderr: 'There is no session 00000000-0000-4000-8000-000000000000.\n',
  });
});
