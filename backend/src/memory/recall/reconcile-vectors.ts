import type { VectorCollection } from '#src/db/vector-collections.ts';
import { listLedger, listLedgerRows, requeueRows } from '#src/db/vector-ledger.ts';
import type { LedgerRow } from '#src/db/vector-ledger.ts';
import type { Vectors } from './vectors.ts';

/** Where the vector store and the ledger differ, in rows. */
export interface Differences {
  /** They should have a vector and have none. */
  missing: number;
  /** Their vector is that of another text. */
  outdated: number;
  /** Vectors without a row. */
  orphaned: number;
  /** They wait for their vector: unfinished, no difference. */
  waiting: number;
}

const PAGE = 1_000;

export function countDifferences({ missing, outdated, orphaned }: Differences): number {
  return missing + outdated + orphaned;
}

/**
 * Compares the whole vector store with the whole ledger, page by page, and mends both ways: what is
 * missing or outdated is embedded anew, what has no row is deleted. With `dryRun` it only counts.
 */
export async function reconcileVectors(
  { db, store }: Pick<Vectors, 'db' | 'store'>,
  own: VectorCollection,
  options: { dryRun?: boolean; onProgress?: (lastId: number) => void } = {},
): Promise<Differences> {
  const total: Differences = { missing: 0, outdated: 0, orphaned: 0, waiting: 0 };
  for (let after = 0; ;) {
    const rows = await listLedger(db, after, PAGE);
    const vectors = await store.list(own.name, after, PAGE);
    const until = Math.min(lastOf(rows), lastOf(vectors));
    const page = compare(upTo(rows, until), upTo(vectors, until), own);

    // What was changed meanwhile only looks like a difference.
    const suspects = [...page.missing, ...page.outdated, ...page.orphaned];
    const now = suspects.length > 0 ? await listLedgerRows(db, suspects) : rows;
    const isAsItWas = (id: number) =>
      now.get(id)?.version === rows.get(id)?.version && now.get(id)?.state === rows.get(id)?.state;
    const missing = page.missing.filter(isAsItWas);
    const outdated = page.outdated.filter(isAsItWas);
    const orphaned = page.orphaned.filter((id) => !mayHaveVector(now.get(id)));

    total.missing += missing.length;
    total.outdated += outdated.length;
    total.orphaned += orphaned.length;
    total.waiting += page.waiting;
    if (options.dryRun !== true) {
      await requeueRows(db, [...missing, ...outdated].map(String));
      if (orphaned.length > 0) await store.remove(own.name, orphaned.map(String));
    }
    if (until === Infinity) return total;
    after = until;
    options.onProgress?.(after);
  }
}

function compare(
  rows: Map<number, LedgerRow>,
  vectors: Map<number, string>,
  own: VectorCollection,
) {
  const ids = [...rows].filter(([, row]) => shouldHaveVector(row, own)).map(([id]) => id);
  return {
    missing: ids.filter((id) => !vectors.has(id)),
    outdated: ids.filter((id) => vectors.has(id) && vectors.get(id) !== rows.get(id)?.version),
    orphaned: [...vectors.keys()].filter((id) => !mayHaveVector(rows.get(id))),
    waiting: [...rows.values()].filter(({ state }) => state === 'pending').length,
  };
}

/** A text that a model refused is offered to every other. */
function shouldHaveVector({ state, has_words: hasWords, model }: LedgerRow, own: VectorCollection) {
  return hasWords && (state === 'indexed' || (state === 'failed' && model !== own.model));
}

function mayHaveVector(row: LedgerRow | undefined): boolean {
  return (
    row !== undefined && (row.state === 'pending' || (row.state === 'indexed' && row.has_words))
  );
}

/** What comes after it is not known where the page is full. */
function lastOf(page: Map<number, unknown>): number {
  return page.size < PAGE ? Infinity : Math.max(...page.keys());
}

function upTo<Value>(page: Map<number, Value>, until: number): Map<number, Value> {
  return new Map([...page].filter(([id]) => id <= until));
}
