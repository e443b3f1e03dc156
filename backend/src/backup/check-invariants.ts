import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { DB } from '../db/tables.ts';

/**
 * The sessions whose memory is broken, with what is wrong: a message that neither the summary nor
 * the window holds, a wrong counter, versions or watermarks out of order.
 */
export async function findBrokenSessions(
  db: Kysely<DB>,
): Promise<{ id: string; problem: string }[]> {
  const { rows } = await sql<{ id: string; problem: string }>`
    with unsummarized as (
      select s.id, s.messages_since_summary, count(m.id) as total,
          count(m.id) filter (where not exists (select from turns t
            where t.session_id = s.id and t.user_message_id = m.id
              and t.state in ('received', 'failed', 'cancelled'))) as answered
        from chat_sessions s
          left join messages m on m.session_id = s.id and m.id > latest_watermark(s.id)
        group by s.id
    ), versions as (
      select session_id, version, last_message_id,
          row_number() over of_session as expected,
          lag(last_message_id, 1, 0::bigint) over of_session as before
        from conversation_summaries window of_session as (partition by session_id order by version)
    )
    select id, 'hole' as problem from unsummarized
      where answered <> (
        select count(*) from json_array_elements(
            read_memory(id, 9223372036854775807, 1, 2147483647, null)->'window') as shown
          where (shown->>'id')::bigint > latest_watermark(id))
    union all
    select id, 'counter' from unsummarized where messages_since_summary <> total
    union all
    select session_id, 'versions' from versions
      where version <> expected or last_message_id < before
    union all
    select s.id, 'order of ids' from chat_sessions s
      where last_message_id < (select max(id) from messages where session_id = s.id)
        or last_message_id < latest_watermark(s.id)`.execute(db);
  return rows;
}
