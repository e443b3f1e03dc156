import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * Turns that are opened, or finished, at the same moment, in one transaction: all or none. Each turn
 * is an array of the parameters of open_turn or finish_turn; results come in the same order. A chat
 * that somebody holds may not hold up the others, so nothing here waits for a lock for long.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`
    create function open_turns(p_turns jsonb) returns json language plpgsql
      set lock_timeout = '100ms' as $$
    begin
      return (select json_agg(open_turn(
            t->>0, t->>1, t->>2, t->>3, (t->>4)::bytea, t->>5, (t->>6)::integer,
            (t->>7)::interval, (t->>8)::integer, (t->>9)::integer, t->10, nullif(t->11, 'null')))
          from jsonb_array_elements(p_turns) as t);
    end $$`.execute(db);
  await sql`
    create function finish_turns(p_turns jsonb) returns json language plpgsql
      set lock_timeout = '100ms' as $$
    begin
      return (select json_agg(finish_turn(
            (t->>0)::bigint, (t->>1)::uuid, (t->>2)::integer, t->>3, (t->>4)::integer,
            (t->>5)::interval, t->>6, t->>7, (t->>8)::integer, (t->>9)::integer,
            (t->>10)::numeric, (t->>11)::integer, t->12, (t->>13)::integer, t->14)::text)
          from jsonb_array_elements(p_turns) as t);
    end $$`.execute(db);
}
