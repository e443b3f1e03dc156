import type { Client } from 'pg';
import { sentence } from './sentences.ts';

export const sentences = Array.from({ length: 4_000 }, (_, n) => sentence(2_000_000 + n));

/** `chats` chats of `messages` messages each, through the triggers, as if they had been spoken. */
export async function fillChats(
  client: Client,
  { chats, messages, prefix }: { chats: number; messages: number; prefix: string },
): Promise<void> {
  await client.query(
    `with sessions as (
      insert into chat_sessions (chat_id, user_id, channel)
        select $4 || ' ' || n, $4 || ' ' || n, 'bench' from generate_series(0, $1::integer - 1) as n
        returning id
    )
    insert into messages (session_id, role, content, tokens, created_at)
      select id, case when n % 2 = 1 then 'user' else 'assistant' end,
          ($3::text[])[1 + (row_number() over (order by id, n))::integer % cardinality($3)], 40,
          now() - interval '1 day' + n * interval '1 minute'
        from sessions, generate_series(1, $2::integer) as n`,
    [chats, messages, sentences, prefix],
  );
}

/**
 * Rows of other chats, 1,000 messages each, with their rows in the ledger: past the triggers, and
 * without words in the recall index (`pnpm bench recall` measures that). Their counters stay at 0, so
 * that no summary of them is due.
 */
export async function fillOthers(client: Client, chats: number): Promise<void> {
  await client.query('set session_replication_role = replica');
  await client.query(
    `with sessions as (
      insert into chat_sessions (chat_id, user_id)
        select 'other ' || gen_random_uuid(), 'other' from generate_series(1, $1::integer)
        returning id
    ), spoken as (
      insert into messages (session_id, role, content, tokens)
        select id, case when n % 2 = 1 then 'user' else 'assistant' end,
            ($2::text[])[1 + n % cardinality($2)], 40
          from generate_series(1, 1000) as n, sessions
        returning id, session_id, role, content
    )
    insert into embeddings (session_id, message_id, role, content, terms, state)
      select session_id, id, role, content, 0, 'indexed' from spoken`,
    [chats, sentences],
  );
  await client.query('reset session_replication_role');
}

/** What the worker does meanwhile: the next version of every summary that is due. */
export async function summarizeAll(client: Client): Promise<void> {
  await client.query(
    `insert into conversation_summaries (session_id, version, content, last_message_id)
      select id, coalesce((select max(version) from conversation_summaries where session_id = s.id), 0) + 1,
          $1, last_message_id
        from chat_sessions s where messages_since_summary >= 8`,
    [sentences.slice(0, 5).join('. ')],
  );
}
