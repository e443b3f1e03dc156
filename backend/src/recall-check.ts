import { countWaiting } from './memory/recall/reindex.ts';
import { openCollection } from './memory/recall/keep-collection.ts';
import { countDifferences, reconcileVectors } from './memory/recall/reconcile-vectors.ts';
import { countMissedMessages } from './memory/recall/sweep-messages.ts';
import { progressBar } from './progress-bar.ts';
import { runRecallCommand } from './recall-command.ts';

/** `pnpm recall:check`: does what can be found agree with what was said? Changes nothing; ends with status 1 where it does not. */
await runRecallCommand(async (db, vectors) => {
  const { words, lastId } = await countWaiting(db);
  const missed = await countMissedMessages(db);
  console.log(`words: ${words + missed} memories wait for their index`);
  if (vectors === undefined) return;
  const own = await openCollection(vectors);
  const bar = progressBar('vectors');
  const found = await reconcileVectors(vectors, own, {
    dryRun: true,
    onProgress: (id) => bar.show(id / lastId),
  });
  bar.end();
  const differences = countDifferences(found);
  console.log(
    `vectors: ${differences} differences between ${own.name} and the table: ` +
      `${found.missing} missing, ${found.outdated} outdated, ${found.orphaned} without a row; ` +
      `${found.waiting} wait to be stored`,
  );
  if (differences === 0) return;
  console.log('The worker mends them within ten minutes; `pnpm recall:reindex` makes all anew.');
  process.exitCode = 1;
});
