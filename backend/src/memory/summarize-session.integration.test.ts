import { afterAll, beforeAll, expect, test } from 'vitest';
import { createModel } from '#src/clients/create-model.ts';
import { loadConfig } from '#src/config.ts';
import { connect } from '#src/db/connect.ts';
import { createLogger } from '#src/logger.ts';
import { mark, startMarkedModel } from '#test/marked-model.ts';
import type { MarkedModel } from '#test/marked-model.ts';
import { brokenSessions, serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';
import { summarizeSession } from './summarize-session.ts';

let model: MarkedModel;
let chats: ServedChats;

beforeAll(async () => {
  model = await startMarkedModel(() => Math.floor(Math.random() * 20));
  chats = await serveChats({
    LLM_BASE_URL: model.url,
    LLM_MODEL: 'marked',
    SUMMARY_MODE: 'off',
    SUMMARY_NEW_MESSAGES_LIMIT: '10',
    SUMMARY_MAX_TOKENS: '10000',
    CONTEXT_TOKEN_BUDGET: '100000',
  });
});

afterAll(async () => {
  await chats.close();
  await model.close();
});

test('run many times at once, it summarises every message once', async () => {
  for (let index = 0; index < 30; index += 1) await chats.say('c', `${mark('c', index)} and so on`);
  const [session] = await chats.sql<{ id: string }>('select id from chat_sessions');
  const config = loadConfig(chats.environment);
  const { db, close } = connect(chats.databaseUrl, { max: 6 });
  const summaries = {
    db,
    model: createModel(config.summaries.model),
    logger: createLogger('silent'),
    settings: config.summaries,
  };
  const run = () =>
    summarizeSession(summaries, session?.id ?? '', new AbortController().signal).catch(String);
  const outcomes = await Promise.all([run(), run(), run(), run()]);
  // Whoever is overtaken again and again gives up; the others have done its work.
  expect(outcomes).toContain('up to date');
  expect(await run()).toBe('up to date');

  const versions = await chats.sql<{ content: string }>(
    'select content from conversation_summaries order by version',
  );
  expect(versions).toHaveLength(6);
  expect(versions.at(-1)?.content.match(/\[c:\d+r?\]/g)).toHaveLength(60);
  expect(await chats.sql(brokenSessions)).toEqual([]);
  await summaries.model.close();
  await close();
});
