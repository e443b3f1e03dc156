import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * The turn's statements. They are functions because each of their inner statements sees what was
 * committed before it: after waiting for the session's lock they read the memory as it is now,
 * where one large statement would read it as it was before the wait. And it is one round trip.
 * Lock order everywhere: the chat where a turn may begin, the session, then its turns and messages.
 */
export async function up(db: Kysely<never>): Promise<void> {
  // The newest summary, and every message after it; where those are fewer than p_history_limit,
  // older ones too. Messages of unanswered turns stay out. Reads no further back than the token
  // budget can carry, so that a backlog of any length costs the same; 4 is what a message costs
  // at least (its role and separators), as in count-tokens.ts. What is recalled from before all
  // that comes with it (p_recall, see the migration of the recall; null is none).
  await sql`
    create function read_memory(
      p_session_id uuid, p_before bigint, p_history_limit integer, p_token_budget integer,
      p_recall jsonb
    ) returns json stable language plpgsql as $$
    declare
      summary record;
      watermark bigint;
      unanswered bigint[];
      window_start bigint;
      recent record;
      recalled json;
    begin
      select id, version, content, last_message_id into summary from conversation_summaries
        where session_id = p_session_id order by version desc limit 1;
      watermark := coalesce(summary.last_message_id, 0);

      unanswered := array(select user_message_id from turns
        where session_id = p_session_id and state in ('received', 'failed', 'cancelled')
          and user_message_id < p_before);

      select id into window_start from messages
        where session_id = p_session_id and id < p_before and id <> all (unanswered)
        order by id desc offset p_history_limit - 1 limit 1;
      window_start := least(watermark + 1, coalesce(window_start, 0));

      select coalesce(json_agg(json_build_object(
            'id', id::text, 'role', role, 'content', content, 'tokens', tokens) order by id), '[]') as messages,
          coalesce(max(running_tokens), 0) as tokens, min(id) as first_id
        into recent
        from (
          select id, role, content, tokens,
              sum(coalesce(tokens, length(content) / 3) + 4) over (order by id desc) as running_tokens
            from (
              select id, role, content, tokens from messages
                where session_id = p_session_id and id < p_before and id >= window_start
                  and id <> all (unanswered)
                order by id desc limit p_token_budget / 4
            ) as newest
        ) as counted
        where running_tokens <= p_token_budget;

      -- Where the window is all there is, nothing can be recalled.
      if p_recall is not null and (p_recall->>'scope' = 'user'
        or exists (select from messages
          where session_id = p_session_id and id < coalesce(recent.first_id, p_before))
        or exists (select from chat_sessions own join chat_sessions other using (chat_id)
          where own.id = p_session_id and other.id <> own.id)) then
        recalled := recall_for_turn(p_session_id, p_before, recent.first_id, p_recall);
      end if;

      return json_build_object(
        'summary', case when summary.id is not null then json_build_object(
          'id', summary.id::text, 'version', summary.version, 'content', summary.content,
          'last_message_id', summary.last_message_id::text) end,
        'window', recent.messages,
        'recalled', coalesce(recalled, '[]'),
        'tokens', recent.tokens + coalesce(length(summary.content) / 3, 0)
          + coalesce(length(recalled::text) / 3, 0),
        'messages_since_summary', (
          select messages_since_summary from chat_sessions where id = p_session_id),
        'unanswered_since_summary', (
          select count(*) from unnest(unanswered) as id where id > watermark)
      );
    end $$`.execute(db);

  // Until the transaction ends, no other turn of the chat begins or is put into the queue. The
  // session's lock is not enough: after a reset, a chat has turns in its old session and its new one.
  await sql`
    create function lock_chat(p_chat_id text) returns void language sql as $$
      select pg_advisory_xact_lock(hashtextextended(p_chat_id, 0))
    $$`.execute(db);

  // Stores a turn's message and its row in the ledger, under an id that the caller has drawn and
  // counted with one update of the session, which is its lock too. The triggers would do the same
  // for any statement, at three times the cost.
  await sql`
    create function store_turn_message(
      p_id bigint, p_session_id uuid, p_role text, p_content text, p_tokens integer,
      p_channel text, p_due_at timestamptz
    ) returns void language plpgsql as $$
    declare
      v_setting text;
    begin
      v_setting := set_config('llm_bot_core.turn_message', 'on', true);
      insert into messages (id, session_id, role, content, tokens, delivery_state,
          delivery_channel, delivery_due_at)
        overriding system value
        values (p_id, p_session_id, p_role, p_content, p_tokens,
          case when p_due_at is not null then 'pending' end, p_channel, p_due_at);
      v_setting := set_config('llm_bot_core.turn_message', 'off', true);
      insert into embeddings (session_id, message_id, role) values (p_session_id, p_id, p_role);
    end $$`.execute(db);

  // Stores a message's turn, and begins it where no earlier turn of the chat is unfinished.
  // outcome: begun (with its memory), waiting (durably stored, its place comes later),
  // silenced (stored, and nobody answers: an operator holds the chat), known (this client message
  // id has a turn already), refused (the user may not speak).
  // Raises LB001 rate_limited, whose detail is the seconds to wait, and LB001 budget_exhausted:
  // then nothing of the turn remains.
  // p_limits: access (open, allowlist, pairing), listed, rate and chat_rate (messages a minute),
  // budget (tokens a day), fixed_tokens (what a turn costs beside its memory and message).
  await sql`
    create function open_turn(
      p_chat_id text, p_user_id text, p_channel text, p_client_message_id text,
      p_request_hash bytea, p_text text, p_tokens integer, p_lease interval,
      p_history_limit integer, p_token_budget integer, p_limits jsonb, p_recall jsonb
    ) returns json language plpgsql as $$
    declare
      v_session_id uuid;
      v_turn_id bigint;
      v_message_id bigint;
      v_waits boolean;
      v_taken_over boolean;
      v_user record;
      v_pairing_code text;
      v_rate integer;
      v_wait integer;
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
      select id into v_turn_id from turns
        where chat_id = p_chat_id and client_message_id = p_client_message_id;
      if found then
        return json_build_object('outcome', 'known', 'turn_id', v_turn_id::text);
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

      v_waits := exists (select from turns where chat_id = p_chat_id and state = 'answering')
        or exists (select from turns where chat_id = p_chat_id and state = 'received');
      loop
        if v_waits then
          select id into v_session_id from chat_sessions
            where chat_id = p_chat_id and is_active for no key update;
        else
          update chat_sessions set messages_since_summary = messages_since_summary + 1,
              last_message_id = nextval('messages_id_seq')
            where chat_id = p_chat_id and is_active
            returning id, last_message_id, taken_over_at is not null
            into v_session_id, v_message_id, v_taken_over;
        end if;
        exit when found;
        insert into chat_sessions (chat_id, user_id, channel)
          values (p_chat_id, p_user_id, p_channel) on conflict do nothing;
      end loop;

      if v_waits then
        insert into turns (session_id, chat_id, user_id, client_message_id, request_hash,
            state, text, tokens, lease_expires_at)
          values (v_session_id, p_chat_id, p_user_id, p_client_message_id, p_request_hash,
            'received', p_text, p_tokens, now() + p_lease)
          returning id into v_turn_id;
        return json_build_object(
          'outcome', 'waiting', 'turn_id', v_turn_id::text, 'session_id', v_session_id);
      end if;

      perform store_turn_message(
        v_message_id, v_session_id, 'user', p_text, p_tokens, null, null);
      if v_taken_over then
        insert into turns (session_id, chat_id, user_id, client_message_id, request_hash,
            state, user_message_id, ended_at)
          values (v_session_id, p_chat_id, p_user_id, p_client_message_id, p_request_hash,
            'silenced', v_message_id, now())
          returning id into v_turn_id;
        return json_build_object(
          'outcome', 'silenced', 'turn_id', v_turn_id::text, 'session_id', v_session_id,
          'messages_since_summary', (
            select messages_since_summary from chat_sessions where id = v_session_id));
      end if;
      insert into turns (session_id, chat_id, user_id, client_message_id, request_hash,
          state, user_message_id, attempts, lease_expires_at)
        values (v_session_id, p_chat_id, p_user_id, p_client_message_id, p_request_hash,
          'answering', v_message_id, 1, now() + p_lease)
        returning id into v_turn_id;
      v_memory := read_memory(v_session_id, v_message_id, p_history_limit, p_token_budget,
        p_recall);
      if coalesce(v_user.daily_token_budget, (p_limits->>'budget')::integer) > 0
        and not reserve_tokens(v_turn_id, p_user_id, (p_limits->>'budget')::integer,
          (p_limits->>'fixed_tokens')::integer + p_tokens + (v_memory->>'tokens')::integer) then
        raise exception using errcode = 'LB001', message = 'budget_exhausted';
      end if;
      return json_build_object(
        'outcome', 'begun', 'turn_id', v_turn_id::text, 'session_id', v_session_id,
        'user_id', p_user_id, 'attempt', 1, 'message_id', v_message_id::text, 'memory', v_memory);
    end $$`.execute(db);

  // Claims a stored turn: one that waited, one whose claim expired, one that failed and is tried
  // again (p_retry: only then is a failure not its end). outcome: begun, waiting (another turn of
  // the chat comes first, or another process answers this one), ended (also: silenced just now).
  await sql`
    create function begin_turn(
      p_turn_id bigint, p_retry boolean, p_lease interval, p_history_limit integer,
      p_token_budget integer, p_limits jsonb, p_recall jsonb
    ) returns json language plpgsql as $$
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
        insert into messages (session_id, role, content, tokens)
          values (v_turn.session_id, 'user', v_turn.text, v_turn.tokens)
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

  // Stores the reply of the attempt that still holds the claim, once. Returns the reply's
  // message id, also to a repeat of the same call; null where the claim was lost.
  // p_offer_after: when the outbox offers the reply, where its caller does not deliver it.
  await sql`
    create function finish_turn(
      p_turn_id bigint, p_session_id uuid, p_attempt integer, p_reply text, p_tokens integer,
      p_offer_after interval, p_model text, p_finish_reason text, p_prompt_tokens integer,
      p_completion_tokens integer, p_cost_usd numeric, p_latency_ms integer, p_context jsonb,
      p_spent_tokens integer, p_limits jsonb
    ) returns bigint language plpgsql as $$
    declare
      v_channel text;
      v_turn record;
      v_reply_id bigint;
    begin
      update chat_sessions set messages_since_summary = messages_since_summary + 1,
          last_message_id = nextval('messages_id_seq')
        where id = p_session_id
        returning channel, last_message_id into v_channel, v_reply_id;
      if not found then
        return null;
      end if;
      perform store_turn_message(v_reply_id, p_session_id, 'assistant', p_reply, p_tokens,
        v_channel, now() + p_offer_after);
      update turns set state = 'answered', reply_message_id = v_reply_id, lease_expires_at = null,
          model = p_model, finish_reason = p_finish_reason, prompt_tokens = p_prompt_tokens,
          completion_tokens = p_completion_tokens, cost_usd = p_cost_usd,
          latency_ms = p_latency_ms, context = p_context, ended_at = now()
        where id = p_turn_id and session_id = p_session_id and attempts = p_attempt
          and state = 'answering'
        returning user_id, tokens_reserved into v_turn;
      if not found then
        delete from messages where id = v_reply_id;
        return (select reply_message_id from turns
          where id = p_turn_id and session_id = p_session_id and attempts = p_attempt
            and state = 'answered');
      end if;
      if v_turn.tokens_reserved > 0 then
        perform spend_tokens(v_turn.user_id, p_spent_tokens, (p_limits->>'budget')::integer);
      end if;
      return v_reply_id;
    end $$`.execute(db);
}
