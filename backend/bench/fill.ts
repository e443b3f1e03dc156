import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { sentence } from './sentences.ts';

export const sentences = Array.from({ length: 4_000 }, (_, n) => sentence(2_000_000 + n));

/** `chats` chats of `messages` messages each, through the triggers, as if they had been spoken. */
export async function fillChats(client: Client, chats: number, messages: number): Promise<void> {
  await client.query(
    `with sessions as (
      insert into chat_sessions (chat_id, user_id, channel)
        select 'chat ' || n, 'chat ' || n, 'bench' from generate_series(0, $1::integer - 1) as n
        returning id
    )
    insert into messages (session_id, role, content, tokens, created_at)
      select id, case when n % 2 = 1 then 'user' else 'assistant' end,
          ($3::text[])[1 + (row_number() over (order by id, n))::integer % cardinality($3)], 40,
          now() - interval '1 day' + n * interval '1 minute'
        from sessions, generate_series(1, $2::integer) as n`,
    [chats, messages, sentences],
  );
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

/** Until the recall index has everything. */
export async function indexed(client: Client): Promise<void> {
  const pending = 'select exists (select from embeddings where terms is null) as pending';
  while ((await client.query(pending)).rows[0].pending === true) await sleep(50);
}
