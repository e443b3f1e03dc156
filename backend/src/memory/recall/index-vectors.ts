import { listCollections } from '#src/db/vector-collections.ts';
import type { VectorCollection } from '#src/db/vector-collections.ts';
import {
  claimRows,
  forgetDeletedRows,
  listDeletedRows,
  markFailed,
  markIndexed,
  postponeRows,
  requeueRows,
} from '#src/db/vector-ledger.ts';
import type { ClaimedRow, RowClaim } from '#src/db/vector-ledger.ts';
import { AppError } from '#src/errors.ts';
import { reasonOf } from '#src/start-error.ts';
import { openCollection, switchWhenWhole } from './keep-collection.ts';
import type { VectorIndex } from './vectors.ts';

/** Small embeddings servers take no more at once. */
const BATCH = 32;
const DELETE_AT_ONCE = 1_000;
/** Less than a claim lasts, also with the store's own time-out on top. */
const EMBED_TIMEOUT_MS = 30_000;

/**
 * Brings the vector store a step closer to the ledger: deletes the vectors of rows that are gone,
 * and gives one batch of those that wait their vectors. Every step may be repeated after a crash.
 * Returns how many rows it dealt with; rejects where a service fails, and the rows wait.
 */
export async function indexVectors(index: VectorIndex, stop: AbortSignal): Promise<number> {
  const deleted = await deleteVectors(index);
  const own = await openCollection(index);
  const claim = await claimRows(index.db, BATCH);
  if (claim.rows.length === 0) return deleted + (await switchWhenWhole(index, own));
  try {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(EMBED_TIMEOUT_MS)]);
    await storeVectors(index, own, claim, signal);
  } catch (error) {
    index.isOpen = false;
    await postponeRows(index.db, claim, reasonOf(error), stop.aborted ? 0 : 1);
    throw error;
  }
  return deleted + claim.rows.length;
}

async function deleteVectors({ db, store }: VectorIndex): Promise<number> {
  const ids = await listDeletedRows(db, DELETE_AT_ONCE);
  if (ids.length === 0) return 0;
  for (const name of await listCollections(db)) await store.remove(name, ids);
  await forgetDeletedRows(db, ids);
  return ids.length;
}

async function storeVectors(
  index: VectorIndex,
  own: VectorCollection,
  claim: RowClaim,
  signal: AbortSignal,
): Promise<void> {
  const { db, store } = index;
  const rows = claim.rows.filter((row) => row.has_words);
  const { points, refused } = await embedRows(index, own, rows, signal);
  if (points.length > 0) await store.upsert(own.name, points);
  const withVector = new Set(points.map(({ id }) => id));
  const without = claim.rows.filter(({ id }) => !withVector.has(id));
  if (without.length > 0)
    await store.remove(
      own.name,
      without.map(({ id }) => id),
    );

  for (const { row, reason } of refused) {
    await markFailed(db, { ...claim, rows: [row] }, own.model, reason);
  }
  const isRefused = new Set(refused.map(({ row }) => row));
  const done = claim.rows.filter((row) => !isRefused.has(row));
  // Edited or deleted meanwhile: what was stored is not what stands there any more.
  const changed = await markIndexed(db, { ...claim, rows: done }, own);
  if (changed.length > 0) await requeueRows(db, changed);
}

interface Embedded {
  points: { id: string; vector: number[]; payload: ReturnType<typeof payloadOf> }[];
  /** Texts that the model takes in no company. */
  refused: { row: ClaimedRow; reason: string }[];
}

async function embedRows(
  index: VectorIndex,
  own: VectorCollection,
  rows: ClaimedRow[],
  signal: AbortSignal,
): Promise<Embedded> {
  if (rows.length === 0) return { points: [], refused: [] };
  try {
    const texts = rows.map(({ content }) => content);
    const vectors = await index.embedder.embed(texts, signal);
    const dimension = vectors[0]?.length;
    if (dimension !== own.dimension) {
      throw new Error(`embeddings: ${dimension} dimensions instead of ${own.dimension}`);
    }
    const points = rows.map((row, place) => ({
      id: row.id,
      vector: vectors[place] ?? [],
      payload: payloadOf(row),
    }));
    return { points, refused: [] };
  } catch (error) {
    if (!(error instanceof AppError && error.details.isPermanent === true)) throw error;
    const [row] = rows;
    if (rows.length === 1 && row !== undefined) {
      return { points: [], refused: [{ row, reason: error.message }] };
    }
    const each = [];
    for (const one of rows) each.push(await embedRows(index, own, [one], signal));
    return {
      points: each.flatMap(({ points }) => points),
      refused: each.flatMap(({ refused }) => refused),
    };
  }
}

function payloadOf({ chat_id, user_id, session_id, version }: ClaimedRow) {
  return { chat_id, user_id, session_id, version };
}
