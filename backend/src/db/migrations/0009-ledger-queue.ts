import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * A new message enters the ledger (`embeddings`) when it is indexed, not in its turn: there it only
 * leaves its id, at a third of what its row with indexes and foreign keys costs.
 */
export async function up(db: Kysely<never>): Promise<void> {
  // No foreign key: what it names may be gone when it is read.
  await sql`create table unentered_messages (message_id bigint primary key)`.execute(db);
  await sql`comment on table unentered_messages is
    'messages whose rows in embeddings are still to be made, or made anew'`.execute(db);

  await createEntering(db);
  await sql`
    create or replace function enter_edited_message() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      perform renew_memory(new.id);
      if not found then
        insert into unentered_messages values (new.id) on conflict do nothing;
      end if;
      return null;
    end $$`.execute(db);
  await sql`
    create function enter_renumbered_message() returns trigger language plpgsql
      security definer set search_path = public, pg_temp as $$
    begin
      insert into unentered_messages
        select new.id where not exists (select from embeddings where message_id = new.id)
        on conflict do nothing;
      return null;
    end $$`.execute(db);
  await sql`create trigger messages_enter_renumbered after update of id on messages
    for each row execute function enter_renumbered_message()`.execute(db);
}

async function createEntering(db: Kysely<never>): Promise<void> {
  // Has what the ledger holds of a message indexed anew, and returns its row: it stays, with what an
  // operator made of its importance. Returns none where the ledger does not have the message.
  await sql`
    create function renew_memory(p_message_id bigint) returns setof bigint language sql as $$
      with rows as materialized (
        select e.id, m.role, m.created_at,
            m.role in ('user', 'assistant') and e.id = min(e.id) over () as stays
          from embeddings e join messages m on m.id = e.message_id where m.id = p_message_id
      ), removed as (
        delete from embeddings where id in (select id from rows where not stays)
      )
      update embeddings e set content = null, terms = null, role = rows.role,
          created_at = rows.created_at, state = 'pending', error = null, claimed_until = null
        from rows where e.id = rows.id and rows.stays
        returning e.id
    $$`.execute(db);

  // Makes the rows of up to p_limit messages, with their passages; returns how many left the queue.
  // Who deletes a message or its session waits for rows that refer to it: so theirs are not waited
  // for, but left for later.
  await sql`
    create function enter_messages(p_limit integer) returns integer language plpgsql as $$
    declare
      v_ids bigint[];
      v_present bigint[];
      v_known bigint[];
      v_count integer;
    begin
      v_ids := array(select message_id from unentered_messages
        order by message_id limit p_limit for update skip locked);
      v_present := array(
        select m.id from messages m join chat_sessions s on s.id = m.session_id
          where m.id = any (v_ids) for key share of m, s skip locked);
      delete from unentered_messages u where message_id = any (v_ids)
        and (message_id = any (v_present)
          or not exists (select from messages m where m.id = u.message_id));
      get diagnostics v_count = row_count;

      -- Edited while its row was being made: the row has the words from before.
      v_known := array(select distinct message_id from embeddings
        where message_id = any (v_present));
      perform renew_memory(id) from unnest(v_known) as id;

      insert into embeddings (session_id, message_id, role, content, created_at)
        select m.session_id, m.id, m.role, p.passage, m.created_at
          from messages m, lateral recall_passages(m.content) as p
          where m.id = any (v_present) and m.id <> all (v_known)
            and m.role in ('user', 'assistant')
          order by m.id, p.place;
      return v_count;
    end $$`.execute(db);

  await sql`alter function index_memories rename to index_entered_memories`.execute(db);
  await sql`
    create function index_memories(p_limit integer, p_with_vectors boolean)
      returns integer language sql as $$
      select enter_messages(p_limit) + index_entered_memories(p_limit, p_with_vectors)
    $$`.execute(db);
}
