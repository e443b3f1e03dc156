import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** What an operator does to a chat: speaks in it by hand, holds it, asks for its summary. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`
    alter table chat_sessions
      add column taken_over_at timestamptz,
      add column taken_over_by text,
      add column summary_request text check (summary_request in ('summarize', 'rebuild')),
      add column summary_requested_at timestamptz`.execute(db);
  await sql`alter table messages add column operator_id text`.execute(db);
  await sql`comment on column chat_sessions.taken_over_at is
    'since when an operator holds the chat and the bot is silent; null hands it back'`.execute(db);
  await sql`comment on column chat_sessions.taken_over_by is
    'the operator''s id in the panel'`.execute(db);
  await sql`comment on column chat_sessions.summary_request is
    'what an operator asked for; gone when it is done'`.execute(db);
  await sql`comment on column messages.operator_id is
    'the operator''s id in the panel, where the API knew it'`.execute(db);
  await sql`create index chat_sessions_summary_request on chat_sessions (summary_requested_at)
    where summary_request is not null`.execute(db);

  await createTakeover(db);
  await createOperatorMessages(db);
}

/** The newest session of a chat says whether an operator holds it. */
async function createTakeover(db: Kysely<never>): Promise<void> {
  await sql`
    create function is_taken_over(p_chat_id text) returns boolean stable language sql as $$
      select coalesce((select taken_over_at is not null from chat_sessions
        where chat_id = p_chat_id order by created_at desc limit 1), false)
    $$`.execute(db);

  // A reset by the user does not hand the chat back.
  await sql`
    create function inherit_takeover() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      select taken_over_at, taken_over_by into new.taken_over_at, new.taken_over_by
        from chat_sessions where chat_id = new.chat_id order by created_at desc limit 1;
      return new;
    end $$`.execute(db);
  await sql`create trigger chat_sessions_inherit_takeover before insert on chat_sessions
    for each row when (new.taken_over_at is null) execute function inherit_takeover()`.execute(db);

  // From here on the bot says nothing: the answer that is being written loses its claim.
  await sql`
    create function silence_running_turn() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      update turns set state = 'silenced', lease_expires_at = null, ended_at = now()
        where chat_id = new.chat_id and state = 'answering';
      return null;
    end $$`.execute(db);
  await sql`create trigger chat_sessions_silence_running_turn
    after update of taken_over_at on chat_sessions
    for each row when (old.taken_over_at is null and new.taken_over_at is not null)
    execute function silence_running_turn()`.execute(db);
}

/** An operator's words go to the outbox, however they are written. */
async function createOperatorMessages(db: Kysely<never>): Promise<void> {
  await sql`
    create function offer_operator_message() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      new.delivery_state := 'pending';
      new.delivery_due_at := now();
      select channel into new.delivery_channel from chat_sessions where id = new.session_id;
      return new;
    end $$`.execute(db);
  await sql`create trigger messages_offer_operators before insert on messages
    for each row when (new.author = 'operator' and new.role = 'assistant'
      and new.delivery_state is null)
    execute function offer_operator_message()`.execute(db);
}
