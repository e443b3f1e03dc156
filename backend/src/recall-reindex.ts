import { indexMemories } from './memory/recall/index-memories.ts';
import { indexVectors } from './memory/recall/index-vectors.ts';
import { mendVectors } from './memory/recall/keep-collection.ts';
import { countWaiting, forgetIndexed } from './memory/recall/reindex.ts';
import { queueMissedMessages } from './memory/recall/sweep-messages.ts';
import { progressBar } from './progress-bar.ts';
import { runRecallCommand } from './recall-command.ts';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long to look away where other workers have the rest in hand. */
const PAUSE_MS = 200;

/** `pnpm recall:reindex`: indexes everything anew, words and vectors, also messages that the ledger does not know. What is not done yet is found as before. */
await runRecallCommand(async (db, vectors) => {
  const options = { withVectors: vectors !== undefined };
  const { lastId, lastMessageId } = await countWaiting(db);
  const indexPages = async (
    what: string,
    end: number,
    takePage: (after: string) => Promise<string | undefined>,
  ) => {
    const bar = progressBar(what);
    for (let after = '0'; ;) {
      const last = await takePage(after);
      if (last === undefined) break;
      while ((await indexMemories(db, options)) > 0);
      after = last;
      bar.show(Number(after) / end);
    }
    bar.end();
  };
  await indexPages('words', lastId, (after) => forgetIndexed(db, after));
  await indexPages('messages', lastMessageId, (after) => queueMissedMessages(db, after));
  if (vectors !== undefined) {
    await mendVectors(vectors);
    const bar = progressBar('vectors');
    const never = new AbortController().signal;
    const all = (await countWaiting(db)).vectors;
    for (let left = all; left > 0; left = (await countWaiting(db)).vectors) {
      bar.show(1 - left / all);
      if ((await indexVectors(vectors, never)) === 0) await sleep(PAUSE_MS);
    }
    bar.end();
  }
  console.log('Everything is indexed anew.');
});
