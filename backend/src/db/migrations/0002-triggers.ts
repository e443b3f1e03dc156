import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * The memory's rules as triggers: they hold for our own statements and for every edit by hand. They
 * run with their owner's rights: who may delete a message need not be able to set a counter.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`
    create function stamp_session_end() returns trigger language plpgsql as $$
    begin
      if tg_op = 'UPDATE' and old.closed_at is null and new.closed_at is not null then
        new.is_active := false;
      end if;
      new.closed_at := case when new.is_active then null else coalesce(new.closed_at, now()) end;
      return new;
    end $$`.execute(db);
  await sql`create trigger chat_sessions_stamp_end
    before insert or update of is_active, closed_at on chat_sessions
    for each row execute function stamp_session_end()`.execute(db);

  await sql`
    create function latest_watermark(p_session_id uuid) returns bigint stable language sql as $$
      select coalesce((select last_message_id from conversation_summaries
        where session_id = p_session_id order by version desc limit 1), 0)
    $$`.execute(db);

  // Two writers can draw ids in one order and commit in the other. The session's row is locked
  // first, and an id drawn before the lock that is no longer the newest is drawn again: so the
  // ids of a session commit in order, and no message can appear behind a summary's watermark.
  // A turn does for its own messages what the triggers on new messages do, with less work, and
  // tells them so in llm_bot_core.turn_message (`store_turn_message`).
  await sql`
    create function place_new_message() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    declare
      newest bigint;
    begin
      if current_setting('llm_bot_core.turn_message', true) = 'on' then
        return new;
      end if;
      select last_message_id into newest from chat_sessions
        where id = new.session_id for no key update;
      if new.id <= newest then
        new.id := nextval('messages_id_seq');
      end if;
      return new;
    end $$`.execute(db);
  await sql`create trigger messages_place_new before insert on messages
    for each row execute function place_new_message()`.execute(db);

  // Once a statement, not once a row: an import of a long history stays linear.
  await sql`
    create function count_new_messages() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      if current_setting('llm_bot_core.turn_message', true) = 'on' then
        return null;
      end if;
      update chat_sessions s
        set messages_since_summary = s.messages_since_summary + added.count,
            last_message_id = greatest(s.last_message_id, added.newest)
        from (select session_id, count(*) as count, max(id) as newest
          from new_messages group by session_id) as added
        where s.id = added.session_id;
      return null;
    end $$`.execute(db);
  await sql`create trigger messages_count_new after insert on messages
    referencing new table as new_messages
    for each statement execute function count_new_messages()`.execute(db);

  // Lock first, count in a second statement: a statement that waited for the lock would count
  // what it saw before the wait.
  await sql`
    create function recount_messages(p_session_id uuid) returns void language plpgsql as $$
    begin
      perform from chat_sessions where id = p_session_id for no key update;
      update chat_sessions
        set messages_since_summary = (select count(*) from messages
          where session_id = p_session_id and id > latest_watermark(p_session_id))
        where id = p_session_id;
    end $$`.execute(db);

  await sql`
    create function count_deleted_messages() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      perform from chat_sessions where id in (select session_id from deleted_messages)
        order by id for no key update;
      update chat_sessions s
        set messages_since_summary = s.messages_since_summary - removed.count
        from (select session_id, count(*) as count from deleted_messages
          where id > latest_watermark(session_id) group by session_id) as removed
        where s.id = removed.session_id;
      return null;
    end $$`.execute(db);
  await sql`create trigger messages_count_deleted after delete on messages
    referencing old table as deleted_messages
    for each statement execute function count_deleted_messages()`.execute(db);

  await sql`
    create function check_message_edit() returns trigger language plpgsql as $$
    begin
      if new.session_id <> old.session_id then
        raise check_violation using message = 'a message cannot move to another session';
      end if;
      if new.content is distinct from old.content and new.tokens is not distinct from old.tokens then
        new.tokens := null;
      end if;
      return new;
    end $$`.execute(db);
  await sql`create trigger messages_check_edit before update of session_id, content on messages
    for each row execute function check_message_edit()`.execute(db);

  await sql`
    create function recount_after_renumbering() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      update chat_sessions set last_message_id = greatest(last_message_id, new.id)
        where id = new.session_id;
      perform recount_messages(new.session_id);
      return null;
    end $$`.execute(db);
  await sql`create trigger messages_recount after update of id on messages
    for each row execute function recount_after_renumbering()`.execute(db);

  await sql`
    create function check_new_summary() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    declare
      newest_message bigint;
      latest record;
    begin
      select last_message_id into newest_message from chat_sessions
        where id = new.session_id for no key update;
      select version, last_message_id into latest from conversation_summaries
        where session_id = new.session_id order by version desc limit 1;
      if new.version <> coalesce(latest.version, 0) + 1 then
        raise check_violation using message = format(
          'summary version %s is not the next one: expected %s', new.version, coalesce(latest.version, 0) + 1);
      end if;
      if new.last_message_id < coalesce(latest.last_message_id, 0)
        or new.last_message_id > newest_message then
        raise check_violation using message = format(
          'last_message_id %s must lie between %s (the previous version''s) and %s (the newest message)',
          new.last_message_id, coalesce(latest.last_message_id, 0), newest_message);
      end if;
      return new;
    end $$`.execute(db);
  await sql`create trigger conversation_summaries_check_new before insert on conversation_summaries
    for each row execute function check_new_summary()`.execute(db);

  await sql`
    create function recount_after_summary() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      perform recount_messages(coalesce(new.session_id, old.session_id));
      return null;
    end $$`.execute(db);
  await sql`create trigger conversation_summaries_recount
    after insert or delete or update of last_message_id on conversation_summaries
    for each row execute function recount_after_summary()`.execute(db);

  await sql`
    create function refuse_summary_move() returns trigger language plpgsql as $$
    begin
      raise check_violation using message =
        'session_id, version and last_message_id of a summary are fixed; edit its content';
    end $$`.execute(db);
  await sql`create trigger conversation_summaries_fixed
    before update of session_id, version, last_message_id on conversation_summaries
    for each row when (old.session_id <> new.session_id or old.version <> new.version
      or old.last_message_id <> new.last_message_id)
    execute function refuse_summary_move()`.execute(db);
}
