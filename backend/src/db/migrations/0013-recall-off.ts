import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * Where recall is off, a turn leaves nothing for its index; should recall be turned on,
 * queue_missed_messages finds what was said before. A message that waited for its place goes through
 * the triggers, which do not know, and leaves its id.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await readMemory(db);
  await openTurn(db);
  await finishTurn(db);
}

/**
 * Unanswered messages are found by their session: asked for by their ids, a plan that was made for a
 * few turns went through those of all chats.
 */
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
            where session_id = p_session_id and user_message_id is not null
              and state in ('received', 'failed', 'cancelled')
            order by user_message_id) as unanswered
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
              where p_limits->>'recall' is distinct from 'false'
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
}
