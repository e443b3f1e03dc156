import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * Which vectors the vector store should hold: those of the ledger's rows (`embeddings`), in one
 * collection a model. Nothing of it is used where no vector store is configured.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table embeddings add column claimed_until timestamptz`.execute(db);
  await sql`comment on column embeddings.claimed_until is
    'until then a worker is embedding it, or leaves it alone after a failure'`.execute(db);
  await sql`comment on column embeddings.model is
    'what made its vector in the vector store; null where it has none'`.execute(db);
  await sql`create index embeddings_without_vector on embeddings (id)
    where state = 'pending' and terms is not null`.execute(db);

  await sql`
    create table vector_collections (
      name text primary key,
      model text not null,
      dimension integer not null check (dimension > 0),
      floor double precision not null,
      fill_to bigint not null,
      active_since timestamptz
    )`.execute(db);
  await sql`comment on table vector_collections is
    'what the vector store holds; the one that became active last is searched'`.execute(db);
  await sql`comment on column vector_collections.floor is
    'how similar this model finds texts that have nothing to do with each other'`.execute(db);
  await sql`comment on column vector_collections.fill_to is
    'becomes active when all rows up to this id have their vectors'`.execute(db);

  await sql`
    create table deleted_vectors (
      embedding_id bigint primary key,
      due_at timestamptz not null default now()
    )`.execute(db);
  await sql`comment on table deleted_vectors is
    'rows of embeddings that are gone and whose vectors are still to be deleted'`.execute(db);

  // A worker that holds the row may be storing its vector right now.
  await sql`
    create function remember_deleted_vectors() returns trigger language plpgsql as $$
    begin
      insert into deleted_vectors
        select id, greatest(now(), claimed_until) from deleted_embeddings
          where model is not null or claimed_until is not null
        on conflict do nothing;
      return null;
    end $$`.execute(db);
  await sql`create trigger embeddings_remember_deleted after delete on embeddings
    referencing old table as deleted_embeddings
    for each statement execute function remember_deleted_vectors()`.execute(db);
}
