import {
  activateCollection,
  deleteCollection,
  enterCollection,
  findSearchedCollection,
  isBeingFilled,
  listReplacedCollections,
} from '#src/db/vector-collections.ts';
import type { VectorCollection } from '#src/db/vector-collections.ts';
import { measureModel } from './measure-model.ts';
import { countDifferences, reconcileVectors } from './reconcile-vectors.ts';
import type { VectorIndex } from './vectors.ts';

const MEASURE_TIMEOUT_MS = 10_000;

/** The collection of the configured model, made where it is not there. */
export async function openCollection(index: VectorIndex): Promise<VectorCollection> {
  index.own ??= await measureModel(index.embedder, AbortSignal.timeout(MEASURE_TIMEOUT_MS));
  if (!index.isOpen) {
    const isNew = await index.store.ensureCollection(index.own.name, index.own.dimension);
    await enterCollection(index.db, index.own);
    if (isNew) await reconcileVectors(index, index.own);
    index.isOpen = true;
  }
  return index.own;
}

/**
 * A collection is searched once it is whole; until then that of the model before goes on. So when
 * no row waits for its vector any more, this looks whether all are there. Returns how many were not.
 */
export async function switchWhenWhole(index: VectorIndex, own: VectorCollection): Promise<number> {
  const searched = await findSearchedCollection(index.db);
  const isActive = searched?.name === own.name && searched.is_active;
  // Where it was replaced while this process runs, others run with a newer model.
  if (isActive || index.wasActive) {
    index.wasActive = true;
    return 0;
  }
  if (await isBeingFilled(index.db, own.name)) return 0;
  const lacking = countDifferences(await reconcileVectors(index, own));
  if (lacking === 0) await activateCollection(index.db, own.name);
  return lacking;
}

/** Makes the vector store agree with the ledger, and drops what earlier models left in it. */
export async function mendVectors(index: VectorIndex): Promise<void> {
  index.isOpen = false;
  const own = await openCollection(index);
  const found = await reconcileVectors(index, own);
  if (countDifferences(found) > 0) index.logger.info(found, 'recall: vector store mended');
  for (const name of await listReplacedCollections(index.db, own.name)) {
    await index.store.dropCollection(name);
    await deleteCollection(index.db, name);
  }
}
