import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openSql } from '#test/api.ts';
import type { Sql } from '#test/api.ts';
import { createTestDatabase } from '#test/database.ts';

let sql: Sql;
let sessions: string[];

beforeAll(async () => {
  sql = openSql((await createTestDatabase()).url);
});

afterAll(async () => {
  await sql.close();
});

beforeEach(async () => {
  await sql.rows('delete from chat_sessions');
  const rows = await sql.rows<{ id: string }>(
    `insert into chat_sessions (chat_id, user_id) values ('one', 'ada'), ('two', 'bob') returning id`,
  );
  sessions = rows.map(({ id }) => id);
});

test('the counter is exact in every snapshot while writers race', async () => {
  const stop = new AbortController();
  const writers = [insertSome, insertSome, deleteSome, writeSummary, dropSummary].flatMap((work) =>
    sessions.map((session) => repeat(stop.signal, () => work(session))),
  );
  const reader = repeat(stop.signal, async () => {
    expect(await wrongCounters()).toEqual([]);
  });
  await Promise.race([sleep(3_000), reader]);
  stop.abort();
  await Promise.all([...writers, reader]);

  expect(await wrongCounters()).toEqual([]);
  const [{ left } = { left: 0 }] = await sql.rows<{ left: number }>(
    'select count(*)::integer as left from messages',
  );
  expect(left).toBeGreaterThan(100);
});

test('ids commit in order within a session: a reader never sees an older message appear', async () => {
  const [session = ''] = sessions;
  const stop = new AbortController();
  const writers = Array.from({ length: 6 }, () => repeat(stop.signal, () => insertSome(session)));
  let seen: string[] = [];
  const reader = repeat(stop.signal, async () => {
    const rows = await sql.rows<{ id: string }>(
      'select id from messages where session_id = $1 order by id',
      [session],
    );
    expect(rows.slice(0, seen.length).map(({ id }) => id)).toEqual(seen);
    seen = rows.map(({ id }) => id);
  });
  await Promise.race([sleep(1_500), reader]);
  stop.abort();
  await Promise.all([...writers, reader]);
  expect(seen.length).toBeGreaterThan(100);
});

test('ids cannot be chosen by hand, so none can come before what a prompt has shown', async () => {
  await expect(
    sql.rows(
      `insert into messages (id, session_id, role, content) values (1000000, $1, 'user', 'text')`,
      [sessions[0]],
    ),
  ).rejects.toThrow('non-DEFAULT value');
});

test('a summary must be the next version and lie within the session', async () => {
  const [session = ''] = sessions;
  await insertSome(session);
  const newest = await newestMessage(session);
  const insert = (version: number, watermark: string) =>
    sql.rows(
      `insert into conversation_summaries (session_id, version, content, last_message_id)
        values ($1, $2, 'text', $3)`,
      [session, version, watermark],
    );
  await expect(insert(2, newest)).rejects.toThrow('expected 1');
  await expect(insert(1, String(BigInt(newest) + 1n))).rejects.toThrow('must lie between');
  await insert(1, newest);
  await expect(insert(1, newest)).rejects.toThrow('expected 2');
  await expect(insert(2, '1')).rejects.toThrow('must lie between');
  await expect(
    sql.rows('update conversation_summaries set last_message_id = last_message_id - 1'),
  ).rejects.toThrow('edit its content');
  await insertSome(session);
  await insert(2, await newestMessage(session));
  expect(await wrongCounters()).toEqual([]);
});

test('parallel writers of the same summary version: one wins', async () => {
  const [session = ''] = sessions;
  await insertSome(session);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 6 }, () =>
      sql.rows(
        `insert into conversation_summaries (session_id, version, content, last_message_id)
          values ($1, 1, 'text', $2)`,
        [session, 1],
      ),
    ),
  );
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});

test('a chat has one open session, and a closed one says when', async () => {
  await expect(
    sql.rows(`insert into chat_sessions (chat_id, user_id) values ('one', 'eve')`),
  ).rejects.toThrow('chat_sessions_one_active');
  await sql.rows(`update chat_sessions set is_active = false where chat_id = 'one'`);
  await sql.rows(`update chat_sessions set closed_at = now() where chat_id = 'two'`);
  const states = () =>
    sql.rows(
      'select is_active, closed_at is not null as stamped from chat_sessions order by chat_id',
    );
  const closed = { is_active: false, stamped: true };
  const open = { is_active: true, stamped: false };
  expect(await states()).toEqual([closed, closed]);
  await sql.rows(`update chat_sessions set is_active = true where chat_id = 'one'`);
  expect(await states()).toEqual([open, closed]);
});

async function insertSome(session: string): Promise<void> {
  await sql.rows(
    `insert into messages (session_id, role, content)
      select $1, 'user', 'text ' || n from generate_series(1, 3) n`,
    [session],
  );
}

async function deleteSome(session: string): Promise<void> {
  await sql.rows(
    `delete from messages where id in (select id from messages
      where session_id = $1 order by random() limit 2)`,
    [session],
  );
}

async function writeSummary(session: string): Promise<void> {
  await sql
    .rows(
      `insert into conversation_summaries (session_id, version, content, last_message_id)
        select s.id, coalesce(c.version, 0) + 1, 'text', coalesce(c.last_message_id, 0) +
          ceil(random() * (s.last_message_id - coalesce(c.last_message_id, 0)))
        from chat_sessions s left join lateral (select version, last_message_id
          from conversation_summaries where session_id = s.id order by version desc limit 1) c on true
        where s.id = $1`,
      [session],
    )
    .catch(ignoreRefusal);
  await sleep(5);
}

async function dropSummary(session: string): Promise<void> {
  await sql.rows(
    `delete from conversation_summaries where id = (select id from conversation_summaries
      where session_id = $1 order by version desc limit 1)`,
    [session],
  );
  await sleep(20);
}

/** Another writer was first; that the summary is refused is right. */
function ignoreRefusal(error: unknown): void {
  if (!/is not the next one|must lie between/.test(String(error))) throw error;
}

async function newestMessage(session: string): Promise<string> {
  const [row] = await sql.rows<{ id: string }>(
    'select max(id) as id from messages where session_id = $1',
    [session],
  );
  return row?.id ?? '';
}

async function wrongCounters(): Promise<object[]> {
  return await sql.rows(
    `select s.messages_since_summary, counted.since_summary from chat_sessions s,
      lateral (select count(*) as since_summary from messages m
        where m.session_id = s.id and m.id > coalesce((select last_message_id
          from conversation_summaries where session_id = s.id order by version desc limit 1), 0)) counted
      where s.messages_since_summary <> since_summary`,
  );
}

async function repeat(stop: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!stop.aborted) await work();
}
