import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * A message that was stored where recall is off, or past the triggers, has left no id for the
 * ledger. So each message is looked at once, in the order of the ids.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`
    create table message_sweep (
      id boolean primary key default true check (id),
      swept_to bigint not null default 0,
      drawn_to bigint not null default 0,
      drawn_by text[] not null default '{}'
    )`.execute(db);
  await sql`insert into message_sweep default values`.execute(db);
  await sql`comment on table message_sweep is
    'one row: up to which id of messages the ledger was told of all'`.execute(db);
  await sql`comment on column message_sweep.drawn_to is
    'how far this sweep goes: the last id that was drawn when it began'`.execute(db);
  await sql`comment on column message_sweep.drawn_by is
    'transactions that had drawn an id and not ended then; it waits for them'`.execute(db);

  // Looks at up to p_limit messages after p_after and up to p_to, by the indexes however many there
  // are. Returns the last of them, null where there are none. In one statement, so that a message
  // that enters the ledger meanwhile is seen either in the queue or in the ledger. Who edits messages
  // in a long transaction may have queued one of these: that is not waited for, so that neither is
  // stuck, nor the edit the victim of a deadlock.
  await sql`
    create function queue_missed_messages(p_after bigint, p_to bigint, p_limit integer)
      returns bigint language sql set lock_timeout = '500ms'
      set enable_seqscan = off set enable_bitmapscan = off
      set enable_hashjoin = off set enable_mergejoin = off as $$
      with page as materialized (
        select id, role from messages where id > p_after and id <= p_to order by id limit p_limit
      ), queued as (
        insert into unentered_messages
          select id from page where role in ('user', 'assistant')
            and not exists (select from embeddings where message_id = page.id)
            and not exists (select from unentered_messages where message_id = page.id)
          on conflict do nothing
      )
      select max(id) from page
    $$`.execute(db);

  // Goes on with the sweep by one page of up to p_limit messages. Returns whether there were any.
  //
  // An id is drawn before its transaction commits, so a smaller one may come when greater ones are
  // long there; and created_at does not tell when an id was drawn (a message that is tried again
  // keeps it). But who draws one holds a lock on the sequence until his transaction ends. So once
  // those who held it when the sweep began are gone, nothing comes any more up to where it goes.
  await sql`
    create function sweep_messages(p_limit integer) returns boolean language plpgsql as $$
    declare
      -- Before it is read who holds the lock.
      v_drawn bigint := (select last_value from messages_id_seq where is_called);
      v_sweep message_sweep;
      v_last bigint;
    begin
      select * into v_sweep from message_sweep where swept_to < v_drawn for update skip locked;
      if not found then
        return false;
      end if;
      if v_sweep.swept_to = v_sweep.drawn_to then
        v_sweep.drawn_to := v_drawn;
        v_sweep.drawn_by := array(select drawing_transactions());
      end if;
      if not v_sweep.drawn_by && array(select drawing_transactions()) then
        v_last := queue_missed_messages(v_sweep.swept_to, v_sweep.drawn_to, p_limit);
        v_sweep.swept_to := coalesce(v_last, v_sweep.drawn_to);
      end if;
      update message_sweep set swept_to = v_sweep.swept_to, drawn_to = v_sweep.drawn_to,
        drawn_by = v_sweep.drawn_by;
      return v_last is not null;
    end $$`.execute(db);
  await sql`
    create function drawing_transactions() returns setof text language sql as $$
      select virtualtransaction from pg_locks
        where relation = 'messages_id_seq'::regclass and mode = 'RowExclusiveLock' and granted
          and database = (select oid from pg_database where datname = current_database())
    $$`.execute(db);
}
