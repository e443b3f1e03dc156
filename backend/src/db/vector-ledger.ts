import { sql } from 'kysely';
import type { Db } from './connect.ts';
import type { VectorCollection } from './vector-collections.ts';

/** Rows of `embeddings` that this process gives their vectors, until its claim runs out. */
export interface RowClaim {
  /** Tells this claim from a later one on the same row. */
  until: string;
  rows: ClaimedRow[];
}

export interface ClaimedRow {
  id: string;
  content: string;
  /** Digest of the content. */
  version: string;
  /** False where an edit left nothing to find: its vector is to go. */
  has_words: boolean;
  session_id: string;
  chat_id: string;
  user_id: string;
}

/** A process that dies leaves its rows for others after this time. */
const CLAIM_SECONDS = 60;

/** Claims rows that wait for their vectors and that nobody else holds, the newest first. */
export async function claimRows(db: Db, limit: number): Promise<RowClaim> {
  const { rows } = await sql<ClaimedRow & { until: string }>`
    with claimed as (
      update embeddings set claimed_until = now() + make_interval(secs => ${CLAIM_SECONDS})
        where id in (select id from embeddings where state = 'pending' and terms is not null
            and (claimed_until is null or claimed_until < now())
          order by id desc limit ${limit} for update skip locked)
        returning id, content, terms, session_id, claimed_until
    )
    select c.id, c.content, md5(c.content) as version, c.terms > 0 as has_words, c.session_id,
        s.chat_id, s.user_id, c.claimed_until::text as until
      from claimed c join chat_sessions s on s.id = c.session_id`.execute(db);
  return { until: rows[0]?.until ?? '', rows };
}

/** Of the rows, marks those that still are as they were claimed. Returns the ids of the others. */
export async function markIndexed(
  db: Db,
  { until, rows }: RowClaim,
  { model, dimension }: VectorCollection,
): Promise<string[]> {
  const ids = rows.map(({ id }) => id);
  const { rows: marked } = await sql<{ id: string }>`
    update embeddings set state = 'indexed', error = null, claimed_until = null,
        model = case when terms > 0 then ${model} end,
        dimension = case when terms > 0 then ${dimension}::integer end
      where id = any(${ids}::bigint[]) and claimed_until = ${until}::timestamptz
      returning id`.execute(db);
  const done = new Set(marked.map(({ id }) => id));
  return ids.filter((id) => !done.has(id));
}

/** Rows whose text the model refuses; an edit or another model makes them pending again. */
export async function markFailed(
  db: Db,
  { until, rows }: RowClaim,
  model: string,
  error: string,
): Promise<void> {
  await sql`
    update embeddings
      set state = 'failed', error = ${error}, model = ${model}, claimed_until = null
      where id = any(${rows.map(({ id }) => id)}::bigint[])
        and claimed_until = ${until}::timestamptz`.execute(db);
}

/** Gives the rows back, to be tried again after a pause. */
export async function postponeRows(
  db: Db,
  { until, rows }: RowClaim,
  error: string,
  pauseSeconds: number,
): Promise<void> {
  await sql`
    update embeddings set error = ${error},
        claimed_until = now() + make_interval(secs => ${pauseSeconds})
      where id = any(${rows.map(({ id }) => id)}::bigint[])
        and claimed_until = ${until}::timestamptz`.execute(db);
}

/** Lets rows be embedded anew; for those that are gone, notes that their vectors have to go. */
export async function requeueRows(db: Db, ids: string[]): Promise<void> {
  await sql`
    with requeued as (
      update embeddings set state = 'pending', claimed_until = null
        where id = any(${ids}::bigint[]) and terms is not null
    )
    insert into deleted_vectors (embedding_id)
      select id from unnest(${ids}::bigint[]) as id
        where not exists (select from embeddings e where e.id = id)
      on conflict do nothing`.execute(db);
}

/** Rows that are gone, and whose vectors can go too. */
export async function listDeletedRows(db: Db, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select embedding_id as id from deleted_vectors where due_at <= now() limit ${limit}`.execute(
    db,
  );
  return rows.map(({ id }) => id);
}

export async function forgetDeletedRows(db: Db, ids: string[]): Promise<void> {
  await db.deleteFrom('deleted_vectors').where('embedding_id', 'in', ids).execute();
}

/** What the ledger says of a row's vector. */
export interface LedgerRow {
  /** Digest of its text as it stands. */
  version: string;
  state: string;
  has_words: boolean;
  model: string | null;
}

/** Rows by id, in the ids' order, after `after`. */
export async function listLedger(
  db: Db,
  after: number,
  limit: number,
): Promise<Map<number, LedgerRow>> {
  return byId(await ledger(db).where('id', '>', String(after)).limit(limit).execute());
}

export async function listLedgerRows(db: Db, ids: number[]): Promise<Map<number, LedgerRow>> {
  return byId(await ledger(db).where('id', 'in', ids.map(String)).execute());
}

function ledger(db: Db) {
  return db
    .selectFrom('embeddings')
    .select(['id', 'model'])
    .select(sql<string>`coalesce(md5(content), '')`.as('version'))
    .select(sql<string>`case when terms is null then 'pending' else state end`.as('state'))
    .select(sql<boolean>`coalesce(terms > 0, false)`.as('has_words'))
    .orderBy('id');
}

function byId(rows: (LedgerRow & { id: string })[]): Map<number, LedgerRow> {
  return new Map(rows.map(({ id, ...row }) => [Number(id), row]));
}
