import type { Pool } from 'pg';
import type { Turn } from './load-process.ts';
import { sentence } from './sentences.ts';

/**
 * The floor: the least that a durable turn with a memory of eight messages can cost. Two prepared
 * statements by bare `pg`, each one round trip and one commit, on tables of nothing but what they
 * need: no HTTP, no model, no validation, no ids of messages, no log, no foreign keys, no triggers.
 *
 * 1. counts and stores the user's message, and reads the newest eight before it as one JSON column;
 * 2. counts and stores the reply.
 */
export const floorTables = `
  create table floor_sessions (
    id uuid primary key default gen_random_uuid(),
    chat_id text not null unique,
    messages_since_summary integer not null default 0
  ) with (fillfactor = 60);
  create table floor_messages (
    id bigint generated always as identity primary key,
    session_id uuid not null,
    role text not null,
    content text not null,
    created_at timestamptz not null default now()
  );
  create index on floor_messages (session_id, id)`;

const openTurn = {
  name: 'floor_open',
  text: `
    with session as (
      update floor_sessions set messages_since_summary = messages_since_summary + 1
        where chat_id = $1 returning id
    ), stored as (
      insert into floor_messages (session_id, role, content)
        select id, 'user', $2 from session
    )
    select id, (select coalesce(json_agg(newest), '[]') from (
        select role, content from floor_messages
          where session_id = session.id order by id desc limit 8) as newest) as history
      from session`,
};

const finishTurn = {
  name: 'floor_finish',
  text: `
    with session as (
      update floor_sessions set messages_since_summary = messages_since_summary + 1
        where id = $1 returning id
    )
    insert into floor_messages (session_id, role, content)
      select id, 'assistant', $2 from session returning id`,
};

export function createFloorTurn({ pool, close }: { pool: Pool; close: () => Promise<void> }): Turn {
  return {
    async make(chatId, n) {
      const opened = await pool.query({ ...openTurn, values: [chatId, sentence(n)] });
      const reply = sentence(1_000_000 + (n % 2_000));
      await pool.query({ ...finishTurn, values: [opened.rows[0].id, reply] });
    },
    close,
  };
}

/** Chats as the API's own are filled, see fill.ts. */
export const fillFloor = `
  with sessions as (
    insert into floor_sessions (chat_id)
      select 'chat ' || n from generate_series(0, $1::integer - 1) as n returning id
  )
  insert into floor_messages (session_id, role, content)
    select id, case when n % 2 = 1 then 'user' else 'assistant' end,
        ($3::text[])[1 + (row_number() over (order by id, n))::integer % cardinality($3)]
      from sessions, generate_series(1, $2::integer) as n`;
