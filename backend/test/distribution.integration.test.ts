import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '#src/db/connect.ts';
import type { Connection } from '#src/db/connect.ts';
import { indexMemories } from '#src/memory/recall/index-memories.ts';
import { openSql, startApi } from './api.ts';
import type { Sql } from './api.ts';
import { createTestDatabase } from './database.ts';
import { eventually } from './eventually.ts';

const document = readFileSync(path.join(import.meta.dirname, '../../docs/scaling.md'), 'utf8');

let sql: Sql;
let connection: Connection;
let api: Awaited<ReturnType<typeof startApi>>;

beforeAll(async () => {
  const { url: databaseUrl } = await createTestDatabase();
  sql = openSql(databaseUrl);
  connection = connect(databaseUrl, { max: 1 });
  api = await startApi({ databaseUrl, env: { SUMMARY_MODE: 'inline', SUMMARY_THRESHOLD: '4' } });
});

afterAll(async () => {
  await api.close();
  await connection.close();
  await sql.close();
});

/**
 * What stands between the schema and a distribution by chat: unique indexes and foreign keys that
 * the distribution column is no part of. A chat's hash (`chat_key`) does as well as its id.
 */
const obstacles = `
  with ours as (
    select c.oid, c.relname as name, coalesce((select string_agg(attname, '')
        from pg_attribute where attrelid = c.oid and attname in ('chat_id', 'chat_key')), 'none') as chat
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'public' and c.relkind = 'r' and c.relname !~ '^kysely_'
  ), uniques as (
    select o.name, i.indexrelid::regclass::text as obstacle from ours o join pg_index i on i.indrelid = o.oid
      where i.indisunique and not exists (select from pg_attribute a
        where a.attrelid = o.oid and a.attnum = any (i.indkey) and a.attname in ('chat_id', 'chat_key'))
  ), references_ as (
    select o.name, conname as obstacle from ours o join pg_constraint k on k.conrelid = o.oid
      where k.contype = 'f' and not exists (select from pg_attribute a
        where a.attrelid = o.oid and a.attnum = any (k.conkey) and a.attname in ('chat_id', 'chat_key'))
  )
  select name, chat,
      coalesce((select string_agg(obstacle, ', ' order by obstacle) from uniques u where u.name = o.name), 'none') as uniques,
      coalesce((select string_agg(obstacle, ', ' order by obstacle) from references_ r where r.name = o.name), 'none') as foreign_keys
    from ours o order by name`;

test('docs/scaling.md says of every table what a distribution by chat would have to change', async () => {
  const rows = await sql.rows<Record<string, string>>(obstacles);
  const expected = rows.map(
    ({ name, chat, uniques, foreign_keys: foreign }) =>
      `| ${name} | ${chat} | ${uniques} | ${foreign} |`,
  );
  const [, table = ''] = /<!-- keys -->\n([\s\S]*?)<!-- end of keys -->/.exec(document) ?? [];
  const shown = table
    .replaceAll('`', '')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2);
  expect(shown, 'put these rows into docs/scaling.md').toEqual(expected);
});

test('no row refers to another chat’s: chats can be put anywhere', async () => {
  for (const chat_id of ['one', 'two']) {
    for (let count = 0; count < 5; count += 1) {
      await api.handle({ chat_id, user_id: 'the same', text: `Number ${count} is ${count * 7}.` });
    }
    await api.post('/v1/chat/reset', { chat_id });
    await api.handle({ chat_id, user_id: 'the same', text: 'Which number was 7?' });
  }
  await eventually(async () => {
    await indexMemories(connection.db);
    expect(await sql.rows('select from unentered_messages')).toEqual([]);
    expect(await sql.rows('select from embeddings where terms is null')).toEqual([]);
  });
  const of = (session: string) => `(select chat_id from chat_sessions where id = ${session})`;
  const ofMessage = (id: string) =>
    `(select s.chat_id from messages m join chat_sessions s on s.id = m.session_id where m.id = ${id})`;
  const ofMemory = (id: string) =>
    `(select s.chat_id from embeddings e join chat_sessions s on s.id = e.session_id where e.id = ${id})`;
  for (const [table, chats] of [
    [
      'turns t',
      [
        of('t.session_id'),
        ofMessage('t.user_message_id'),
        ofMessage('t.reply_message_id'),
        't.chat_id',
      ],
    ],
    [
      'embeddings t',
      [of('t.session_id'), `coalesce(${ofMessage('t.message_id')}, ${of('t.session_id')})`],
    ],
    ['recall_postings t', [`hashtextextended(${ofMemory('t.embedding_id')}, 0)`, 't.chat_key']],
  ] as const) {
    const [counted] = await sql.rows<{ all: number; apart: number }>(
      `select count(*)::integer as all, count(*) filter (where
        (select count(distinct chat) from unnest(array[${chats.join(', ')}]) as chat) > 1)::integer as apart
        from ${table}`,
    );
    expect(counted?.all, table).toBeGreaterThan(10);
    expect(counted?.apart, table).toBe(0);
  }
});
