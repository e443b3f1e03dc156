import type { Db } from '#src/db/connect.ts';
import { indexAllVectors, indexAllWords } from '#src/memory/recall/index-recall.ts';
import { mendVectors } from '#src/memory/recall/keep-collection.ts';
import type { VectorIndex } from '#src/memory/recall/vectors.ts';
import { openQueue } from './open-queue.ts';
import type { QueueStore } from './open-queue.ts';
import { startWorker } from './start-worker.ts';
import type { Observed } from './start-worker.ts';

/** The newest messages stand in the window anyway, so the index may lag behind them. */
const INDEX_EVERY_MS = 2_000;
const RECONCILE_EVERY_MS = 10 * 60_000;

interface RecallJob {
  jobName: string;
  everyMs: number;
  run: (stop: AbortSignal) => Promise<void>;
}

/**
 * Indexes what is new in the ledger, and compares the vector store with it now and then. Nobody
 * asks for it: the jobs come by a schedule, and what they find to do stands in PostgreSQL.
 */
export async function startRecallWorker(
  store: QueueStore,
  { db, vectors }: { db: Db; vectors: VectorIndex | undefined },
  observed: Observed,
): Promise<{ close: () => Promise<void> }> {
  const queue = await openQueue(store, 'recall', observed.logger);
  const jobs = new Map(listJobs(db, vectors).map((job) => [job.jobName, oneAtATime(job)]));
  const work = {
    queueName: 'recall',
    concurrency: 3,
    schedules: [...jobs.values()],
    process: async ({ name }: { name: string }, { closing }: { closing: AbortSignal }) => {
      try {
        await jobs.get(name)?.run(closing);
      } catch (error) {
        observed.logger.warn({ err: error, job: name }, 'recall: comes again at its next time');
        throw error;
      }
    },
  };
  const worker = await startWorker(store, queue, work, observed);
  return {
    async close() {
      await worker.close();
      await queue.close();
    },
  };
}

/** Apart from each other: where the services of the vectors hang, words do not wait. */
function listJobs(db: Db, vectors: VectorIndex | undefined): RecallJob[] {
  const options = { withVectors: vectors !== undefined };
  const words: RecallJob = {
    jobName: 'words',
    everyMs: INDEX_EVERY_MS,
    run: (stop) => indexAllWords(db, options, stop),
  };
  if (vectors === undefined) return [words];
  return [
    words,
    {
      jobName: 'vectors',
      everyMs: INDEX_EVERY_MS,
      run: (stop) => indexAllVectors(vectors, stop),
    },
    { jobName: 'reconcile', everyMs: RECONCILE_EVERY_MS, run: () => mendVectors(vectors) },
  ];
}

/** While one works off a large backlog, the next ones come in vain. */
function oneAtATime(job: RecallJob): RecallJob {
  let isRunning = false;
  return {
    ...job,
    async run(stop) {
      if (isRunning) return;
      isRunning = true;
      try {
        await job.run(stop);
      } finally {
        isRunning = false;
      }
    },
  };
}
