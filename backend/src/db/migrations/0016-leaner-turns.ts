import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * The turn's two statements once more with less: what they no longer write down, and what that
 * brought, stands in docs/performance.md. Goes through all messages and turns once.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await tellMessagesTheirTurn(db);
  await searchByTurns(db);
  await packContextLogs(db);
  await checkSessionsAfterwards(db);
  await referToSessionsByTriggers(db);
  await readMemory(db);
  await openTurn(db);
  await beginTurn(db);
  await storeReply(db);
}

/** With more messages after its summary than this, a session has a backlog. */
const USUAL_WINDOW = 200;

/** One column in place of two indexes on turns. */
async function tellMessagesTheirTurn(db: Kysely<never>): Promise<void> {
  await sql`alter table messages add column turn_id bigint`.execute(db);
  await sql`comment on column messages.turn_id is
    'the turn whose message or reply it is; null where somebody wrote it by hand'`.execute(db);
  await sql`
    update messages m set turn_id = t.id
      from (select user_message_id as message_id, id from turns
        union all select reply_message_id, id from turns) as t
      where m.id = t.message_id`.execute(db);
  await sql`drop index turns_user_message, turns_reply_message`.execute(db);

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
      update turns t set user_message_id = null from deleted_messages as gone
        where t.id = gone.turn_id and user_message_id = gone.id;
      update turns t set reply_message_id = null from deleted_messages as gone
        where t.id = gone.turn_id and reply_message_id = gone.id;
      return null;
    end $$`.execute(db);
  await sql`
    create or replace function recount_after_renumbering() returns trigger language plpgsql
      security definer set search_path = public, pg_temp set enable_seqscan = off as $$
    begin
      update chat_sessions set last_message_id = greatest(last_message_id, new.id)
        where id = new.session_id;
      perform recount_messages(new.session_id);
      update turns set user_message_id = new.id where id = new.turn_id and user_message_id = old.id;
      update turns set reply_message_id = new.id
        where id = new.turn_id and reply_message_id = old.id;
      return null;
    end $$`.execute(db);
}

/** A search asks for each memory whether its message was answered. */
async function searchByTurns(db: Kysely<never>): Promise<void> {
  await sql`
    create or replace function recallable(
      p_id bigint, p_chat_id text, p_user_id text, p_session_id uuid, p_window_from bigint,
      p_query text, p_scope text
    ) returns setof embeddings stable language sql as $$
      select e.* from embeddings e join chat_sessions s on s.id = e.session_id
        where e.id = p_id and e.terms is not null and e.importance > 0
          and case p_scope when 'session' then s.id = p_session_id
            when 'user' then s.chat_id = p_chat_id or s.user_id = p_user_id
            else s.chat_id = p_chat_id end
          and (e.session_id = p_session_id
            and (e.summary_id is not null or e.message_id >= p_window_from)) is not true
          and lower(e.content) <> lower(p_query)
          and not exists (select from messages m join turns t on t.id = m.turn_id
            where m.id = e.message_id and t.user_message_id = m.id
              and t.state not in ('answered', 'silenced'))
    $$`.execute(db);
  await sql`
    create or replace function recall_for_turn(
      p_session_id uuid, p_message_id bigint, p_window_from bigint, p_recall jsonb
    ) returns json stable language sql as $$
      select search_memories(s.chat_id, t.user_id, s.id, coalesce(p_window_from, m.id), m.content,
          p_recall->>'scope', (p_recall->>'limit')::integer)
        from messages m join chat_sessions s on s.id = m.session_id
          left join turns t on t.id = m.turn_id
        where m.id = p_message_id
    $$`.execute(db);
}

/**
 * As text, since it is written once and read whole, and without what is empty or said twice
 * (`StoredContextLog`): a third of the bytes.
 */
async function packContextLogs(db: Kysely<never>): Promise<void> {
  // Also for what the version before stores while both run.
  await sql`
    create function pack_context_log(p_log jsonb) returns json immutable language sql as $$
      select (
          case when p_log->'summary' <> 'null'
            then jsonb_build_object('summary', (p_log->'summary') - 'tokens') else '{}' end
          || case when p_log #> '{window,first_message_id}' <> 'null' then jsonb_build_object(
            'window', jsonb_build_object('first', p_log #> '{window,first_message_id}',
              'last', p_log #> '{window,last_message_id}',
              'messages', p_log #> '{window,messages}')) else '{}' end
          || case when p_log->'recalled' <> '[]'
            then jsonb_build_object('recalled', p_log->'recalled') else '{}' end
          || case when p_log->'left_out'
              <> '{"messages": 0, "unanswered_messages": 0, "memories": 0}'
            then jsonb_build_object('left_out', p_log->'left_out') else '{}' end
          || case when p_log->'notes' <> '[]'
            then jsonb_build_object('notes', p_log->'notes') else '{}' end
          || case when p_log ? 'instruction' then jsonb_build_object('tokens', jsonb_strip_nulls(
            jsonb_build_object('instruction', p_log #> '{instruction,tokens}',
              'summary', p_log #> '{summary,tokens}', 'window', p_log #> '{window,tokens}',
              'message', p_log #> '{message,tokens}',
              'prompt', p_log->'prompt_tokens_estimated', 'budget', p_log->'token_budget')))
            else '{}' end
        )::text::json
    $$`.execute(db);
  await sql`alter table turns alter column context type json using pack_context_log(context)`.execute(
    db,
  );
}

/**
 * For a trigger before an update PostgreSQL locks the row and writes that down, whatever columns the
 * trigger is for.
 */
async function checkSessionsAfterwards(db: Kysely<never>): Promise<void> {
  await sql`drop trigger chat_sessions_check on chat_sessions`.execute(db);
  await sql`create trigger chat_sessions_check_new before insert on chat_sessions
    for each row execute function check_session()`.execute(db);
  await sql`create trigger chat_sessions_check
    after update of user_id, chat_id, channel, summary_request, summary_failures
    on chat_sessions for each row execute function check_session()`.execute(db);

  await sql`drop trigger chat_sessions_stamp_end on chat_sessions`.execute(db);
  await sql`drop function stamp_session_end()`.execute(db);
  await sql`
    create function stamp_new_session() returns trigger language plpgsql as $$
    begin
      new.closed_at := case when not new.is_active then coalesce(new.closed_at, now()) end;
      return new;
    end $$`.execute(db);
  await sql`create trigger chat_sessions_stamp_new before insert on chat_sessions
    for each row execute function stamp_new_session()`.execute(db);
  await sql`
    create function stamp_session_end() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      if old.closed_at is null and new.closed_at is not null then
        update chat_sessions set is_active = false where id = new.id;
      else
        update chat_sessions set closed_at = case when not is_active then now() end
          where id = new.id;
      end if;
      return null;
    end $$`.execute(db);
  await sql`create trigger chat_sessions_stamp_end after update of is_active, closed_at
    on chat_sessions for each row when (new.is_active <> (new.closed_at is null))
    execute function stamp_session_end()`.execute(db);
}

/**
 * Who stores a turn or a message holds its session's row already; a foreign key looks it up and locks
 * it all the same, for each of them. What it says triggers hold: what is of no session is refused, and
 * goes with its session. From PostgreSQL 18 on the keys are there to be read alone.
 */
async function referToSessionsByTriggers(db: Kysely<never>): Promise<void> {
  const { rows } = await sql<{ version: number }>`
    select current_setting('server_version_num')::integer as version`.execute(db);
  if (rows.some(({ version }) => version >= 180_000)) {
    await sql`alter table messages alter constraint messages_session_id_fkey not enforced`.execute(
      db,
    );
    await sql`alter table turns alter constraint turns_session_id_fkey not enforced`.execute(db);
  }
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
      if not found then
        raise foreign_key_violation using message = format('there is no session %s', new.session_id);
      end if;
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
  await sql`
    create or replace function check_turn() returns trigger language plpgsql as $$
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
      elsif (tg_op = 'INSERT' or new.session_id <> old.session_id)
        and current_setting('llm_bot_core.turn_message', true) is distinct from 'on' then
        perform from chat_sessions where id = new.session_id for key share;
        if not found then
          raise foreign_key_violation using message =
            format('there is no session %s', new.session_id);
        end if;
      end if;
      return null;
    end $$`.execute(db);
  await sql`drop trigger turns_check on turns`.execute(db);
  await sql`create trigger turns_check after insert or update of session_id, user_id,
      client_message_id, state, lease_expires_at, finish_reason on turns
    for each row execute function check_turn()`.execute(db);
  await sql`
    create function erase_session() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      delete from messages where session_id = old.id;
      delete from turns where session_id = old.id;
      return null;
    end $$`.execute(db);
  await sql`create trigger chat_sessions_erase after delete on chat_sessions
    for each row execute function erase_session()`.execute(db);
}

/**
 * The window is read in the order in which it is shown. Only where that is too long for the budget is
 * it read from its end, with a running total. The counter only says which of the two to begin with.
 */
async function readMemory(db: Kysely<never>): Promise<void> {
  await sql`
    create or replace function read_memory(
      p_session_id uuid, p_before bigint, p_history_limit integer, p_token_budget integer,
      p_recall jsonb
    ) returns json stable language plpgsql as $$
    declare
      v_session record;
      v_window json;
      v_window_tokens integer;
      v_window_start bigint;
      v_recalled json;
    begin
      select s.messages_since_summary, c.id, c.version, c.content, c.last_message_id,
          coalesce(c.last_message_id, 0) as watermark,
          unanswered.ids as unanswered, unanswered.since_summary as unanswered_since_summary
        into v_session
        from chat_sessions s
          left join lateral (
            select id, version, content, last_message_id from conversation_summaries
              where session_id = s.id order by version desc limit 1
          ) as c on true
          cross join lateral (
            select coalesce(array_agg(user_message_id order by user_message_id), '{}') as ids,
                count(*) filter (where user_message_id > coalesce(c.last_message_id, 0))
                  as since_summary
              from turns
              where session_id = s.id and user_message_id is not null
                and state in ('received', 'failed', 'cancelled')
          ) as unanswered
        where s.id = p_session_id;

      if v_session.messages_since_summary <= ${sql.lit(USUAL_WINDOW)} then
        select coalesce(json_agg(json_build_object(
              'id', id::text, 'role', role, 'content', content, 'tokens', tokens)), '[]'),
            coalesce(sum(coalesce(tokens, length(content) / 3) + 4), 0), min(id)
          into v_window, v_window_tokens, v_window_start
          from (
            select id, role, content, tokens from messages
              where session_id = p_session_id and id < p_before
                and id >= least(v_session.watermark + 1, coalesce((
                  select id from messages
                    where session_id = p_session_id and id < p_before
                      and id <> all (v_session.unanswered)
                    order by id desc offset p_history_limit - 1 limit 1), 0))
                and id <> all (v_session.unanswered)
              order by id
          ) as shown;
      end if;
      if v_window_tokens is null or v_window_tokens > p_token_budget then
        select coalesce(json_agg(json_build_object(
              'id', id::text, 'role', role, 'content', content, 'tokens', tokens) order by id), '[]'),
            coalesce(max(running_tokens), 0), min(id)
          into v_window, v_window_tokens, v_window_start
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
      end if;

      -- Where the window is all there is, nothing can be recalled.
      if p_recall is not null then
        if p_recall->>'scope' = 'user'
          or exists (select from messages
            where session_id = p_session_id and id < coalesce(v_window_start, p_before))
          or exists (select from chat_sessions own join chat_sessions other using (chat_id)
            where own.id = p_session_id and other.id <> own.id) then
          v_recalled := recall_for_turn(p_session_id, p_before, v_window_start, p_recall);
        end if;
      end if;

      return json_build_object(
        'summary', case when v_session.id is not null then json_build_object(
          'id', v_session.id::text, 'version', v_session.version, 'content', v_session.content,
          'last_message_id', v_session.last_message_id::text) end,
        'window', v_window,
        'recalled', coalesce(v_recalled, '[]'),
        'tokens', v_window_tokens + coalesce(length(v_session.content) / 3, 0)
          + coalesce(length(v_recalled::text) / 3, 0),
        'messages_since_summary', v_session.messages_since_summary,
        'unanswered_since_summary', v_session.unanswered_since_summary
      );
    end $$`.execute(db);
}

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
      v_known record;
      v_pairing_code text;
      v_rate integer;
      v_wait integer;
      v_session_id uuid;
      v_turn record;
      v_memory json;
    begin
      perform lock_chat(p_chat_id);
      select u.access, u.rate_limit_per_minute, u.daily_token_budget,
          (select id from turns
            where chat_id = p_chat_id and client_message_id = p_client_message_id) as known_turn_id,
          exists (select from turns where chat_id = p_chat_id and state = 'answering')
            or exists (select from turns where chat_id = p_chat_id and state = 'received') as waits
        into v_known
        from (values (p_user_id)) as own (id) left join users u using (id);
      if p_limits->>'access' <> 'open' or v_known.access = 'blocked' then
        v_pairing_code := refuse_access(
          p_user_id, p_limits->>'access', (p_limits->>'listed')::boolean);
        if v_pairing_code is not null then
          return json_build_object(
            'outcome', 'refused', 'pairing_code', nullif(v_pairing_code, ''));
        end if;
      end if;
      if v_known.known_turn_id is not null then
        return json_build_object('outcome', 'known', 'turn_id', v_known.known_turn_id::text);
      end if;

      v_rate := coalesce(v_known.rate_limit_per_minute, (p_limits->>'rate')::integer);
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
        if v_known.waits then
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
          ), turn as (
            insert into turns (session_id, chat_id, user_id, client_message_id, request_hash,
                user_message_id, state, attempts, lease_expires_at, ended_at)
              select id, p_chat_id, p_user_id, p_client_message_id, p_request_hash, last_message_id,
                  case when is_silent then 'silenced' else 'answering' end,
                  case when is_silent then 0 else 1 end,
                  case when not is_silent then now() + p_lease end,
                  case when is_silent then now() end
                from session
              returning id, session_id, user_message_id, state
          ), message as (
            insert into messages (id, session_id, role, content, tokens, turn_id)
              overriding system value
              select user_message_id, session_id, 'user', p_text, p_tokens, id from turn
          ), unentered as (
            insert into unentered_messages select user_message_id from turn
              where p_limits->>'recall' is distinct from 'false'
          )
          select id, session_id, user_message_id, state into v_turn from turn;
        end if;
        exit when found;
        insert into chat_sessions (chat_id, user_id, channel)
          values (p_chat_id, p_user_id, p_channel) on conflict do nothing;
      end loop;

      if v_known.waits then
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
      if coalesce(v_known.daily_token_budget, (p_limits->>'budget')::integer) > 0
        and not reserve_tokens(v_turn.id, p_user_id, (p_limits->>'budget')::integer,
          (p_limits->>'fixed_tokens')::integer + p_tokens + (v_memory->>'tokens')::integer) then
        raise exception using errcode = 'LB001', message = 'budget_exhausted';
      end if;
      return json_build_object(
        'outcome', 'begun', 'turn_id', v_turn.id::text, 'session_id', v_turn.session_id,
        'user_id', p_user_id, 'attempt', 1, 'message_id', v_turn.user_message_id::text,
        'memory', v_memory);
    end $$`.execute(db);
}

/** A message that waited knows its turn too. */
async function beginTurn(db: Kysely<never>): Promise<void> {
  await sql`
    create or replace function begin_turn(
      p_turn_id bigint, p_retry boolean, p_lease interval, p_history_limit integer,
      p_token_budget integer, p_limits jsonb, p_recall jsonb
    ) returns json language plpgsql
      set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
    declare
      v_session record;
      v_turn turns;
      v_message record;
      v_message_id bigint;
      v_memory json;
    begin
      perform lock_chat(chat_id) from turns where id = p_turn_id;
      select s.id, s.last_message_id into v_session from turns t
        join chat_sessions s on s.id = t.session_id
        where t.id = p_turn_id for no key update of s;
      select * into v_turn from turns where id = p_turn_id for no key update;
      if not found or v_turn.state in ('answered', 'silenced', 'cancelled')
        or (v_turn.state = 'failed' and not p_retry) then
        return json_build_object('outcome', 'ended');
      end if;
      if v_turn.state = 'answering' and v_turn.lease_expires_at > now() then
        return json_build_object('outcome', 'waiting');
      end if;
      if (v_turn.state <> 'failed' and v_turn.cancel_requested_at is not null)
        or (v_turn.user_message_id is null and v_turn.text is null) then
        -- Stopped by its user, or its message was deleted by hand: there is nothing to answer.
        update turns set state = 'cancelled', lease_expires_at = null, ended_at = now()
          where id = p_turn_id;
        return json_build_object('outcome', 'ended');
      end if;
      if exists (select from turns
          where chat_id = v_turn.chat_id and state = 'answering' and id <> p_turn_id)
        or (v_turn.state <> 'answering' and exists (select from turns
          where chat_id = v_turn.chat_id and state = 'received' and id < p_turn_id)) then
        update turns set state = 'received', error_code = null, error = null, ended_at = null,
            cancel_requested_at = null, lease_expires_at = now() + p_lease
          where id = p_turn_id;
        return json_build_object('outcome', 'waiting');
      end if;

      v_message_id := v_turn.user_message_id;
      if v_message_id is null then
        insert into messages (session_id, role, content, tokens, turn_id)
          values (v_turn.session_id, 'user', v_turn.text, v_turn.tokens, p_turn_id)
          returning id into v_message_id;
      elsif v_message_id < v_session.last_message_id
        or v_message_id <= latest_watermark(v_turn.session_id) then
        -- The conversation, or its summary, went on without it: it takes its place where it is
        -- answered.
        update messages set id = default where id = v_message_id
          returning id into v_message_id;
      end if;
      if is_taken_over(v_turn.chat_id) then
        update turns set state = 'silenced', text = null, user_message_id = v_message_id,
            lease_expires_at = null, cancel_requested_at = null, error_code = null, error = null,
            ended_at = now()
          where id = p_turn_id;
        return json_build_object('outcome', 'ended');
      end if;
      select content, coalesce(tokens, length(content) / 3) as tokens into v_message
        from messages where id = v_message_id;

      update turns set state = 'answering', attempts = attempts + 1, text = null,
          user_message_id = v_message_id, lease_expires_at = now() + p_lease,
          cancel_requested_at = null, error_code = null, error = null, ended_at = null
        where id = p_turn_id;
      v_memory := read_memory(v_turn.session_id, v_message_id, p_history_limit, p_token_budget,
        p_recall);
      if not reserve_tokens(p_turn_id, v_turn.user_id, (p_limits->>'budget')::integer,
          (p_limits->>'fixed_tokens')::integer + v_message.tokens + (v_memory->>'tokens')::integer) then
        update turns set state = 'failed', lease_expires_at = null, ended_at = now(),
            error_code = 'budget_exhausted', error = 'The token budget of the day is used up.'
          where id = p_turn_id;
        return json_build_object('outcome', 'ended');
      end if;
      return json_build_object(
        'outcome', 'begun', 'turn_id', p_turn_id::text, 'session_id', v_turn.session_id,
        'user_id', v_turn.user_id, 'attempt', v_turn.attempts + 1,
        'message_id', v_message_id::text, 'text', v_message.content, 'memory', v_memory);
    end $$`.execute(db);
}

/** finish_turn under a new name, because its context log is json now; the version before calls the old one. */
async function storeReply(db: Kysely<never>): Promise<void> {
  await sql`
    create function store_reply(
      p_turn_id bigint, p_session_id uuid, p_attempt integer, p_reply text, p_tokens integer,
      p_offer_after interval, p_model text, p_finish_reason text, p_prompt_tokens integer,
      p_completion_tokens integer, p_cost_usd numeric, p_latency_ms integer, p_context json,
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
            delivery_channel, delivery_due_at, turn_id)
          overriding system value
          select reply_message_id, p_session_id, 'assistant', p_reply, p_tokens, 'pending',
              channel, now() + p_offer_after, p_turn_id
            from turn
      ), unentered as (
        insert into unentered_messages select reply_message_id from turn
          where p_limits->>'recall' is distinct from 'false'
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
  await sql`
    create function store_replies(p_turns json) returns json language plpgsql
      set lock_timeout = '100ms' as $$
    begin
      return (select json_agg(store_reply(
            (t->>0)::bigint, (t->>1)::uuid, (t->>2)::integer, t->>3, (t->>4)::integer,
            (t->>5)::interval, t->>6, t->>7, (t->>8)::integer, (t->>9)::integer,
            (t->>10)::numeric, (t->>11)::integer, t->12, (t->>13)::integer,
            (t->>14)::jsonb)::text)
          from json_array_elements(p_turns) as t);
    end $$`.execute(db);
  await sql`
    create or replace function finish_turn(
      p_turn_id bigint, p_session_id uuid, p_attempt integer, p_reply text, p_tokens integer,
      p_offer_after interval, p_model text, p_finish_reason text, p_prompt_tokens integer,
      p_completion_tokens integer, p_cost_usd numeric, p_latency_ms integer, p_context jsonb,
      p_spent_tokens integer, p_limits jsonb
    ) returns bigint language sql as $$
      select store_reply(p_turn_id, p_session_id, p_attempt, p_reply, p_tokens, p_offer_after,
        p_model, p_finish_reason, p_prompt_tokens, p_completion_tokens, p_cost_usd, p_latency_ms,
        pack_context_log(p_context), p_spent_tokens, p_limits)
    $$`.execute(db);
}
