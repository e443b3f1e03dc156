import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** What is left to summarise, found without reading every session, and why a summary could not be written. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`
    alter table chat_sessions
      add column unsummarized_since timestamptz,
      add column summary_error text,
      add column summary_failed_at timestamptz,
      add column summary_failures integer not null default 0 check (summary_failures >= 0),
      add column summary_retry_at timestamptz`.execute(db);
  await sql`comment on column chat_sessions.unsummarized_since is
    'since when there are messages after the latest summary; kept by a trigger'`.execute(db);
  await sql`comment on column chat_sessions.summary_error is
    'why the last try to summarise failed; gone with the next summary'`.execute(db);
  await sql`comment on column chat_sessions.summary_failures is
    'jobs in a row that gave up'`.execute(db);
  await sql`comment on column chat_sessions.summary_retry_at is
    'not tried again before then; null it to have it tried at once'`.execute(db);
  await sql`update chat_sessions set unsummarized_since = now() where messages_since_summary > 0`.execute(
    db,
  );

  // An index on the counter itself would be written with every message. This column changes only
  // where something new begins and where a summary has covered it, so the updates between stay HOT.
  await sql`
    create function stamp_unsummarized() returns trigger language plpgsql as $$
    begin
      new.unsummarized_since := case when new.messages_since_summary > 0 then now() end;
      return new;
    end $$`.execute(db);
  await sql`create trigger chat_sessions_stamp_unsummarized
    before update of messages_since_summary on chat_sessions
    for each row when (old.messages_since_summary = 0 and new.messages_since_summary > 0
      or new.messages_since_summary < old.messages_since_summary)
    execute function stamp_unsummarized()`.execute(db);
  await sql`create index chat_sessions_unsummarized on chat_sessions (unsummarized_since)
    where unsummarized_since is not null`.execute(db);
  await sql`create index chat_sessions_summary_failed on chat_sessions (summary_failed_at)
    where summary_failed_at is not null`.execute(db);
}
