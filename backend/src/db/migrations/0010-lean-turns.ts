import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * The turn's two statements with half of their work. What is done differently, and what each of it
 * brought, stands in docs/performance.md.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await ruleByTriggers(db);
  await stampWithCounter(db);
  await mergeMessageTriggers(db);
  await referToMessagesByTriggers(db);
  await readMemory(db);
  await openTurn(db);
  await finishTurn(db);
}

/**
 * PostgreSQL reads a CHECK from its text for every statement, also for an update of other columns.
 * A trigger is compiled once in a connection, and runs only where its columns are written. As in a
 * CHECK, null passes.
 */
async function ruleByTriggers(db: Kysely<never>): Promise<void> {
  await sql`
    alter table chat_sessions
      drop constraint chat_sessions_user_id_check, drop constraint chat_sessions_chat_id_check,
      drop constraint chat_sessions_channel_check, drop constraint chat_sessions_closed_at,
      drop constraint chat_sessions_summary_failures_check,
      drop constraint chat_sessions_summary_request_check`.execute(db);
  await sql`
    create function check_session() returns trigger language plpgsql as $$
    begin
      if length(new.user_id) not between 1 and 128 then
        raise check_violation using message = 'user_id must have 1 to 128 characters';
      elsif length(new.chat_id) not between 1 and 128 then
        raise check_violation using message = 'chat_id must have 1 to 128 characters';
      elsif length(new.channel) not between 1 and 32 then
        raise check_violation using message = 'channel must have 1 to 32 characters';
      elsif new.summary_request not in ('summarize', 'rebuild') then
        raise check_violation using message = 'summary_request must be summarize or rebuild';
      elsif new.summary_failures < 0 then
        raise check_violation using message = 'summary_failures must not be negative';
      end if;
      return new;
    end $$`.execute(db);
  await sql`create trigger chat_sessions_check
    before insert or update of user_id, chat_id, channel, summary_request, summary_failures
    on chat_sessions for each row execute function check_session()`.execute(db);

  await sql`
    alter table messages
      drop constraint messages_role_check, drop constraint messages_tokens_check,
      drop constraint messages_author_check, drop constraint messages_delivery_state_check`.execute(
    db,
  );
  await sql`
    create function check_message() returns trigger language plpgsql as $$
    begin
      if new.role not in ('user', 'assistant', 'system', 'tool') then
        raise check_violation using message = 'role must be user, assistant, system or tool';
      elsif new.tokens < 0 then
        raise check_violation using message = 'tokens must not be negative';
      elsif new.author <> 'operator' then
        raise check_violation using message = 'author must be operator or null';
      elsif new.delivery_state not in ('pending', 'sending', 'sent', 'uncertain', 'failed') then
        raise check_violation using message =
          'delivery_state must be pending, sending, sent, uncertain or failed';
      end if;
      return new;
    end $$`.execute(db);
  await sql`create trigger messages_check
    before insert or update of role, tokens, author, delivery_state on messages
    for each row execute function check_message()`.execute(db);

  await sql`
    alter table turns
      drop constraint turns_user_id_check, drop constraint turns_client_message_id_check,
      drop constraint turns_state_check, drop constraint turns_finish_reason_check,
      drop constraint turns_unfinished_is_leased`.execute(db);
  await sql`
    create function check_turn() returns trigger language plpgsql as $$
    begin
      if length(new.user_id) not between 1 and 128 then
        raise check_violation using message = 'user_id must have 1 to 128 characters';
      elsif length(new.client_message_id) not between 1 and 128 then
        raise check_violation using message = 'client_message_id must have 1 to 128 characters';
      elsif new.state not in
        ('received', 'answering', 'answered', 'silenced', 'failed', 'cancelled') then
        raise check_violation using message =
          'state must be received, answering, answered, silenced, failed or cancelled';
      elsif (new.state in ('received', 'answering')) <> (new.lease_expires_at is not null) then
        raise check_violation using message =
          'a turn has lease_expires_at while it is received or answering, and only then';
      elsif new.finish_reason not in ('stop', 'length', 'cancelled') then
        raise check_violation using message = 'finish_reason must be stop, length or cancelled';
      end if;
      return null;
    end $$`.execute(db);
  // After, not before: for a trigger before an update PostgreSQL locks the row, and writes that down.
  await sql`create trigger turns_check after insert
    or update of user_id, client_message_id, state, lease_expires_at, finish_reason on turns
    for each row execute function check_turn()`.execute(db);
}

/** Whoever changes the counter says since when there is something to summarise: a trigger less on a turn's way. */
async function stampWithCounter(db: Kysely<never>): Promise<void> {
  await sql`
    create function since_when(p_since timestamptz, p_before integer, p_after integer)
      returns timestamptz stable language sql as $$
      select case when p_after <= 0 then null
        when p_before = 0 or p_after < p_before then now() else p_since end
    $$`.execute(db);
  await sql`drop trigger chat_sessions_stamp_unsummarized on chat_sessions`.execute(db);
  await sql`drop function stamp_unsummarized()`.execute(db);
  await sql`
    create or replace function recount_messages(p_session_id uuid) returns void
      language plpgsql as $$
    begin
      perform from chat_sessions where id = p_session_id for no key update;
      update chat_sessions set messages_since_summary = counted.number,
          unsummarized_since = since_when(unsummarized_since, messages_since_summary, counted.number)
        from (select count(*)::integer as number from messages
          where session_id = p_session_id and id > latest_watermark(p_session_id)) as counted
        where id = p_session_id;
    end $$`.execute(db);
}

/** One trigger where there were two: each of them costs, also where it has nothing to do. */
async function mergeMessageTriggers(db: Kysely<never>): Promise<void> {
  await sql`drop trigger messages_offer_operators on messages`.execute(db);
  await sql`drop function offer_operator_message()`.execute(db);
  await sql`
    create or replace function place_new_message() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    declare
      v_session record;
    begin
      if current_setting('llm_bot_core.turn_message', true) = 'on' then
        return new;
      end if;
      select last_message_id, channel into v_session from chat_sessions
        where id = new.session_id for no key update;
      if new.id <= v_session.last_message_id then
        new.id := nextval('messages_id_seq');
      end if;
      -- An operator's words go to the outbox, however they are written.
      if new.author = 'operator' and new.role = 'assistant' and new.delivery_state is null then
        new.delivery_state := 'pending';
        new.delivery_due_at := now();
        new.delivery_channel := v_session.channel;
      end if;
      return new;
    end $$`.execute(db);

  await sql`drop trigger messages_enter_new on messages`.execute(db);
  await sql`drop function enter_new_messages()`.execute(db);
  await sql`
    create or replace function count_new_messages() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      if current_setting('llm_bot_core.turn_message', true) = 'on' then
        return null;
      end if;
      update chat_sessions s
        set messages_since_summary = s.messages_since_summary + added.count,
            unsummarized_since = since_when(s.unsummarized_since, s.messages_since_summary,
              s.messages_since_summary + added.count),
            last_message_id = greatest(s.last_message_id, added.newest)
        from (select session_id, count(*)::integer as count, max(id) as newest
          from new_messages group by session_id) as added
        where s.id = added.session_id;
      insert into unentered_messages
        select id from new_messages where role in ('user', 'assistant');
      return null;
    end $$`.execute(db);
}

/**
 * A turn's messages are stored with it, so a foreign key has nothing to find out there, and locks
 * each message to do so. What is left of it is what happens when a message goes, or takes a new id.
 */
async function referToMessagesByTriggers(db: Kysely<never>): Promise<void> {
  await sql`
    alter table turns drop constraint turns_user_message_id_fkey,
      drop constraint turns_reply_message_id_fkey`.execute(db);
  await sql`comment on column turns.user_message_id is
    'null where the message is gone; kept by triggers on messages'`.execute(db);
  await sql`comment on column turns.reply_message_id is
    'null where the message is gone; kept by triggers on messages'`.execute(db);
  await sql`
    create or replace function count_deleted_messages() returns trigger language plpgsql
      security definer set search_path = public, pg_temp set enable_seqscan = off as $$
    begin
      perform from chat_sessions where id in (select session_id from deleted_messages)
        order by id for no key update;
      update chat_sessions s
        set messages_since_summary = s.messages_since_summary - removed.count,
            unsummarized_since = since_when(s.unsummarized_since, s.messages_since_summary,
              s.messages_since_summary - removed.count)
        from (select session_id, count(*)::integer as count from deleted_messages
          where id > latest_watermark(session_id) group by session_id) as removed
        where s.id = removed.session_id;
      update turns set user_message_id = null from deleted_messages as gone
        where user_message_id = gone.id;
      update turns set reply_message_id = null from deleted_messages as gone
        where reply_message_id = gone.id;
      return null;
    end $$`.execute(db);
  await sql`
    create or replace function recount_after_renumbering() returns trigger language plpgsql
      security definer set search_path = public, pg_temp set enable_seqscan = off as $$
    begin
      update chat_sessions set last_message_id = greatest(last_message_id, new.id)
        where id = new.session_id;
      perform recount_messages(new.session_id);
      update turns set user_message_id = new.id where user_message_id = old.id;
      update turns set reply_message_id = new.id where reply_message_id = old.id;
      return null;
    end $$`.execute(db);
}

async function readMemory(db: Kysely<never>): Promise<void> {
  await sql`
    create or replace function read_memory(
      p_session_id uuid, p_before bigint, p_history_limit integer, p_token_budget integer,
      p_recall jsonb
    ) returns json stable language plpgsql as $$
    declare
      v_session record;
      v_recent record;
      v_recalled json;
    begin
      select s.messages_since_summary, c.id, c.version, c.content, c.last_message_id,
          coalesce(c.last_message_id, 0) as watermark,
          array(select user_message_id from turns
            where session_id = p_session_id and state in ('received', 'failed', 'cancelled')
              and user_message_id < p_before) as unanswered
        into v_session
        from chat_sessions s left join lateral (
          select id, version, content, last_message_id from conversation_summaries
            where session_id = s.id order by version desc limit 1) as c on true
        where s.id = p_session_id;

      select coalesce(json_agg(json_build_object(
            'id', id::text, 'role', role, 'content', content, 'tokens', tokens) order by id), '[]') as messages,
          coalesce(max(running_tokens), 0) as tokens, min(id) as first_id
        into v_recent
        from (
          select id, role, content, tokens, sum(coalesce(tokens, length(content) / 3) + 4)
              over (order by id desc rows unbounded preceding) as running_tokens
            from (
              select id, role, content, tokens from messages
                where session_id = p_session_id and id < p_before
                  and id >= least(v_session.watermark + 1, coalesce((
                    select id from messages
                      where session_id = p_session_id and id < p_before
                        and id <> all (v_session.unanswered)
                      order by id desc offset p_history_limit - 1 limit 1), 0))
                  and id <> all (v_session.unanswered)
                order by id desc limit p_token_budget / 4
            ) as newest
        ) as counted
        where running_tokens <= p_token_budget;

      -- Where the window is all there is, nothing can be recalled.
      if p_recall is not null then
        if p_recall->>'scope' = 'user'
          or exists (select from messages
            where session_id = p_session_id and id < coalesce(v_recent.first_id, p_before))
          or exists (select from chat_sessions own join chat_sessions other using (chat_id)
            where own.id = p_session_id and other.id <> own.id) then
          v_recalled := recall_for_turn(p_session_id, p_before, v_recent.first_id, p_recall);
        end if;
      end if;

      return json_build_object(
        'summary', case when v_session.id is not null then json_build_object(
          'id', v_session.id::text, 'version', v_session.version, 'content', v_session.content,
          'last_message_id', v_session.last_message_id::text) end,
        'window', v_recent.messages,
        'recalled', coalesce(v_recalled, '[]'),
        'tokens', v_recent.tokens + coalesce(length(v_session.content) / 3, 0)
          + coalesce(length(v_recalled::text) / 3, 0),
        'messages_since_summary', v_session.messages_since_summary,
        'unanswered_since_summary', (
          select count(*) from unnest(v_session.unanswered) as id where id > v_session.watermark)
      );
    end $$`.execute(db);
}

/**
 * Both turn functions store their messages past the triggers that count and place those of others,
 * and tell them so in llm_bot_core.turn_message. Their plans are made once, and by the indexes: a
 * connection that made them while a table was small would read it whole ever after.
 */
async function openTurn(db: Kysely<never>): Promise<void> {
  await sql`
    create or replace function open_turn(
      p_chat_id text, p_user_id text, p_channel text, p_client_message_id text,
      p_request_hash bytea, p_text text, p_tokens integer, p_lease interval,
      p_history_limit integer, p_token_budget integer, p_limits jsonb, p_recall jsonb
    ) returns json language plpgsql
      set llm_bot_core.turn_message = 'on'
      set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
    declare
      v_user record;
      v_pairing_code text;
      v_chat record;
      v_rate integer;
      v_wait integer;
      v_session_id uuid;
      v_turn record;
      v_memory json;
    begin
      select access, rate_limit_per_minute, daily_token_budget into v_user
        from users where id = p_user_id;
      if p_limits->>'access' <> 'open' or v_user.access = 'blocked' then
        v_pairing_code := refuse_access(
          p_user_id, p_limits->>'access', (p_limits->>'listed')::boolean);
        if v_pairing_code is not null then
          return json_build_object(
            'outcome', 'refused', 'pairing_code', nullif(v_pairing_code, ''));
        end if;
      end if;

      perform lock_chat(p_chat_id);
      select (select id from turns
            where chat_id = p_chat_id and client_message_id = p_client_message_id) as known_turn_id,
          exists (select from turns where chat_id = p_chat_id and state = 'answering')
            or exists (select from turns where chat_id = p_chat_id and state = 'received') as waits
        into v_chat;
      if v_chat.known_turn_id is not null then
        return json_build_object('outcome', 'known', 'turn_id', v_chat.known_turn_id::text);
      end if;

      v_rate := coalesce(v_user.rate_limit_per_minute, (p_limits->>'rate')::integer);
      if v_rate > 0 then
        v_wait := take_rate('user:' || p_user_id, v_rate);
      end if;
      v_rate := (p_limits->>'chat_rate')::integer;
      if v_rate > 0 then
        v_wait := greatest(v_wait, take_rate('chat:' || p_chat_id, v_rate));
      end if;
      if v_wait > 0 then
        raise exception using errcode = 'LB001', message = 'rate_limited', detail = v_wait;
      end if;

      loop
        if v_chat.waits then
          select id into v_session_id from chat_sessions
            where chat_id = p_chat_id and is_active for no key update;
        else
          with session as (
            update chat_sessions set messages_since_summary = messages_since_summary + 1,
                unsummarized_since = since_when(
                  unsummarized_since, messages_since_summary, messages_since_summary + 1),
                last_message_id = nextval('messages_id_seq')
              where chat_id = p_chat_id and is_active
              returning id, last_message_id, taken_over_at is not null as is_silent
          ), message as (
            insert into messages (id, session_id, role, content, tokens) overriding system value
              select last_message_id, id, 'user', p_text, p_tokens from session
          ), unentered as (
            insert into unentered_messages select last_message_id from session
          )
          insert into turns (session_id, chat_id, user_id, client_message_id, request_hash,
              user_message_id, state, attempts, lease_expires_at, ended_at)
            select id, p_chat_id, p_user_id, p_client_message_id, p_request_hash, last_message_id,
                case when is_silent then 'silenced' else 'answering' end,
                case when is_silent then 0 else 1 end,
                case when not is_silent then now() + p_lease end,
                case when is_silent then now() end
              from session
            returning id, session_id, user_message_id, state into v_turn;
        end if;
        exit when found;
        insert into chat_sessions (chat_id, user_id, channel)
          values (p_chat_id, p_user_id, p_channel) on conflict do nothing;
      end loop;

      if v_chat.waits then
        insert into turns (session_id, chat_id, user_id, client_message_id, request_hash,
            state, text, tokens, lease_expires_at)
          values (v_session_id, p_chat_id, p_user_id, p_client_message_id, p_request_hash,
            'received', p_text, p_tokens, now() + p_lease)
          returning id, session_id into v_turn;
        return json_build_object(
          'outcome', 'waiting', 'turn_id', v_turn.id::text, 'session_id', v_turn.session_id);
      end if;
      if v_turn.state = 'silenced' then
        return json_build_object(
          'outcome', 'silenced', 'turn_id', v_turn.id::text, 'session_id', v_turn.session_id,
          'messages_since_summary', (
            select messages_since_summary from chat_sessions where id = v_turn.session_id));
      end if;

      v_memory := read_memory(v_turn.session_id, v_turn.user_message_id, p_history_limit,
        p_token_budget, p_recall);
      if coalesce(v_user.daily_token_budget, (p_limits->>'budget')::integer) > 0
        and not reserve_tokens(v_turn.id, p_user_id, (p_limits->>'budget')::integer,
          (p_limits->>'fixed_tokens')::integer + p_tokens + (v_memory->>'tokens')::integer) then
        raise exception using errcode = 'LB001', message = 'budget_exhausted';
      end if;
      return json_build_object(
        'outcome', 'begun', 'turn_id', v_turn.id::text, 'session_id', v_turn.session_id,
        'user_id', p_user_id, 'attempt', 1, 'message_id', v_turn.user_message_id::text,
        'memory', v_memory);
    end $$`.execute(db);
  await sql`
    alter function begin_turn(bigint, boolean, interval, integer, integer, jsonb, jsonb)
      set plan_cache_mode = force_generic_plan set enable_seqscan = off`.execute(db);
}

async function finishTurn(db: Kysely<never>): Promise<void> {
  await sql`
    create or replace function finish_turn(
      p_turn_id bigint, p_session_id uuid, p_attempt integer, p_reply text, p_tokens integer,
      p_offer_after interval, p_model text, p_finish_reason text, p_prompt_tokens integer,
      p_completion_tokens integer, p_cost_usd numeric, p_latency_ms integer, p_context jsonb,
      p_spent_tokens integer, p_limits jsonb
    ) returns bigint language plpgsql
      set llm_bot_core.turn_message = 'on'
      set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
    declare
      v_turn record;
    begin
      with session as (
        update chat_sessions set messages_since_summary = messages_since_summary + 1,
            unsummarized_since = since_when(
              unsummarized_since, messages_since_summary, messages_since_summary + 1),
            last_message_id = nextval('messages_id_seq')
          where id = p_session_id
          returning id, channel, last_message_id
      ), turn as (
        update turns t set state = 'answered', reply_message_id = s.last_message_id,
            lease_expires_at = null, model = p_model, finish_reason = p_finish_reason,
            prompt_tokens = p_prompt_tokens, completion_tokens = p_completion_tokens,
            cost_usd = p_cost_usd, latency_ms = p_latency_ms, context = p_context, ended_at = now()
          from session s
          where t.id = p_turn_id and t.session_id = s.id and t.attempts = p_attempt
            and t.state = 'answering'
          returning t.reply_message_id, t.user_id, t.tokens_reserved, s.channel
      ), message as (
        insert into messages (id, session_id, role, content, tokens, delivery_state,
            delivery_channel, delivery_due_at)
          overriding system value
          select reply_message_id, p_session_id, 'assistant', p_reply, p_tokens, 'pending',
              channel, now() + p_offer_after
            from turn
      ), unentered as (
        insert into unentered_messages select reply_message_id from turn
      )
      select t.reply_message_id, t.user_id, t.tokens_reserved into v_turn
        from session left join turn t on true;
      if not found then
        return null;
      end if;
      if v_turn.reply_message_id is null then
        -- The claim is lost, and nothing was stored.
        perform recount_messages(p_session_id);
        return (select reply_message_id from turns
          where id = p_turn_id and session_id = p_session_id and attempts = p_attempt
            and state = 'answered');
      end if;
      if v_turn.tokens_reserved > 0 then
        perform spend_tokens(v_turn.user_id, p_spent_tokens, (p_limits->>'budget')::integer);
      end if;
      return v_turn.reply_message_id;
    end $$`.execute(db);
}
