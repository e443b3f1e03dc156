import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * Who may speak, how often and how much. A user has a row once there is something to say about
 * them: a pairing code, a decision of an operator, or a limit that is counted.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`
    create table users (
      id text primary key check (length(id) between 1 and 128),
      access text not null default 'unknown'
        check (access in ('unknown', 'pending', 'approved', 'blocked')),
      pairing_code text unique,
      rate_limit_per_minute integer check (rate_limit_per_minute >= 0),
      daily_token_budget integer check (daily_token_budget >= 0),
      usage_day date,
      tokens_used integer not null default 0 check (tokens_used >= 0),
      created_at timestamptz not null default now()
    ) with (fillfactor = 60)`.execute(db);
  await sql`comment on column users.rate_limit_per_minute is
    'this user''s own limit; null is RATE_LIMIT_PER_MINUTE, 0 is none'`.execute(db);
  await sql`comment on column users.daily_token_budget is
    'this user''s own budget; null is DAILY_TOKEN_BUDGET, 0 is none'`.execute(db);
  await sql`comment on column users.tokens_used is 'on usage_day (UTC)'`.execute(db);
  await sql`alter table turns add column tokens_reserved integer not null default 0`.execute(db);

  // null where the user may speak; else the pairing code to show, empty where there is none.
  // A blocked user is refused in every mode. p_listed: user or chat stands in the allowlist.
  await sql`
    create function refuse_access(p_user_id text, p_mode text, p_listed boolean)
      returns text language plpgsql as $$
    declare
      v_access text;
      v_code text;
    begin
      select access, pairing_code into v_access, v_code from users where id = p_user_id;
      if v_access = 'blocked' then
        return '';
      end if;
      if p_mode = 'open' or p_listed or v_access = 'approved' then
        return null;
      end if;
      if p_mode <> 'pairing' then
        return '';
      end if;
      if v_code is not null then
        return v_code;
      end if;
      -- Ten of 32 letters that are not mistaken for one another: not to be guessed, easy to read out.
      select string_agg(substr('23456789ABCDEFGHJKLMNPQRSTUVWXYZ', 1 + (get_byte(bytes, i) % 32), 1), '')
        into v_code
        from (select decode(replace(gen_random_uuid()::text, '-', ''), 'hex') as bytes) as random,
          unnest(array[0, 1, 2, 3, 4, 5, 9, 10, 11, 12]) as i;
      insert into users (id, access, pairing_code) values (p_user_id, 'pending', v_code)
        on conflict (id) do update set access = 'pending',
          pairing_code = coalesce(users.pairing_code, excluded.pairing_code)
        returning pairing_code into v_code;
      return v_code;
    end $$`.execute(db);

  // How many messages a user or a chat (`user:…`, `chat:…`) may still send.
  await sql`
    create table rates (
      subject text primary key,
      allowance double precision not null,
      counted_at timestamptz not null
    ) with (fillfactor = 60)`.execute(db);

  // A bucket of one minute's messages that refills steadily. Returns the seconds to wait; 0 counts
  // this message.
  await sql`
    create function take_rate(p_subject text, p_per_minute integer)
      returns integer language plpgsql as $$
    declare
      v_allowance double precision;
    begin
      insert into rates values (p_subject, p_per_minute, clock_timestamp()) on conflict do nothing;
      select least(p_per_minute, allowance
          + extract(epoch from clock_timestamp() - counted_at) * p_per_minute / 60)
        into v_allowance from rates where subject = p_subject for no key update;
      if v_allowance < 1 then
        return greatest(1, ceil((1 - v_allowance) * 60 / p_per_minute));
      end if;
      update rates set allowance = v_allowance - 1, counted_at = clock_timestamp()
        where subject = p_subject;
      return 0;
    end $$`.execute(db);

  // Reserves what a turn may cost at most, before the model is called. False where the day's
  // budget does not hold it. What is reserved is read from the running turns, so that nothing
  // stays reserved when a process dies or a chat is erased.
  await sql`
    create function reserve_tokens(
      p_turn_id bigint, p_user_id text, p_default_budget integer, p_tokens integer
    ) returns boolean language plpgsql as $$
    declare
      v_budget integer;
      v_used integer;
    begin
      if p_default_budget > 0 then
        insert into users (id) values (p_user_id) on conflict do nothing;
      end if;
      select coalesce(daily_token_budget, p_default_budget),
          case when usage_day = (now() at time zone 'utc')::date then tokens_used else 0 end
        into v_budget, v_used from users where id = p_user_id for no key update;
      if coalesce(v_budget, 0) = 0 then
        return true;
      end if;
      if v_used + p_tokens + (select coalesce(sum(tokens_reserved), 0) from turns
          where state = 'answering' and user_id = p_user_id and id <> p_turn_id) > v_budget then
        return false;
      end if;
      update turns set tokens_reserved = p_tokens where id = p_turn_id;
      return true;
    end $$`.execute(db);

  await sql`
    create function spend_tokens(p_user_id text, p_tokens integer, p_default_budget integer)
      returns void language sql as $$
      update users set usage_day = (now() at time zone 'utc')::date,
          tokens_used = p_tokens + case
            when usage_day = (now() at time zone 'utc')::date then tokens_used else 0 end
        where id = p_user_id and coalesce(daily_token_budget, p_default_budget) > 0
    $$`.execute(db);
}
