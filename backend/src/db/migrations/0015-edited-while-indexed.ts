import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * What is edited at the moment when it is indexed is indexed as it was edited. Until now the indexer
 * could read the words from before an edit that was not committed, and nobody looked again.
 */
export async function up(db: Kysely<never>): Promise<void> {
  // The indexer passes by what is locked in the queue. It is locked before the ledger's rows: an
  // indexer that has taken it from the queue would wait for these, and may never be waited for.
  // What a sweep queues meanwhile is found, and locked, by the insert.
  await sql`
    create or replace function enter_edited_message() returns trigger language plpgsql
      security definer set search_path = public, pg_temp set enable_seqscan = off as $$
    begin
      perform from unentered_messages where message_id = new.id for update;
      perform renew_memory(new.id);
      if not found then
        insert into unentered_messages values (new.id)
          on conflict (message_id) do update set message_id = excluded.message_id;
      end if;
      return null;
    end $$`.execute(db);

  // Rows are locked first and read in a second statement: one that waited would neither see the
  // passages that were made meanwhile nor the role as it is now.
  await sql`
    create or replace function renew_memory(p_message_id bigint) returns setof bigint
      language plpgsql set enable_seqscan = off as $$
    begin
      perform from embeddings where message_id = p_message_id order by id for update;
      return query
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
          returning e.id;
    end $$`.execute(db);
}
