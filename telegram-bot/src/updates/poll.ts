import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from 'grammy/web';
import type { Update } from 'grammy/types';
import type { Logger } from '#src/logger.ts';
import { WrongToken, createPersistentCall, forGrammy } from '#src/telegram/api.ts';
import { describeError } from '#src/telegram/describe-error.ts';
import { ALLOWED_UPDATES } from './take-update.ts';
import type { TakeUpdate } from './take-update.ts';

const LONG_POLL_SECONDS = 30;
/**
 * How often Telegram is asked for more while something is not confirmed yet: it answers at once.
 * At first often enough to see the rest of a burst in time.
 */
const PAUSE_MS = 50;
const LATER_PAUSE_MS = 1_000;
const LATER_AFTER_MS = 2_000;
const LAST_UPDATES_WITHIN_MS = 5_000;

/** An update that Telegram may not forget yet. */
interface Pending {
  id: number;
  /** Once it is taken: the last update that is to be confirmed with it. */
  through?: number;
  /** It could not be taken: nothing after it is confirmed before it has come again and is. */
  failed?: boolean;
}

/**
 * Asks Telegram for updates until `stop` aborts. Telegram forgets an update when it is asked for
 * a later one, so the offset only moves past updates that are taken; meanwhile those that are not
 * come again with every answer, and are known by their ids. Rejects with `WrongToken`.
 */
export async function poll(
  api: Api,
  takeUpdate: TakeUpdate,
  { logger, stop }: { logger: Logger; stop: AbortSignal },
): Promise<void> {
  const persistently = createPersistentCall(logger, stop);
  let pending: Pending[] = [];
  let taken = Promise.withResolvers<void>();
  let offset: number | undefined;
  let newsAt = 0;

  function take(update: Update): void {
    const known = pending.find(({ id }) => id === update.update_id);
    if (known !== undefined && !known.failed) return;
    const entry: Pending = known ?? { id: update.update_id };
    if (known === undefined) pending.push(entry);
    entry.failed = false;
    newsAt = Date.now();
    takeUpdate(update).then(
      (through) => {
        entry.through = through;
        taken.resolve();
      },
      (error: unknown) => {
        entry.failed = true;
        taken.resolve();
        logger.info({ update_id: entry.id, ...describeError(error) }, 'update left to Telegram');
      },
    );
  }

  function confirm(): void {
    const count = countConfirmable(pending);
    const last = pending[count - 1];
    if (last === undefined) return;
    offset = last.id + 1;
    pending = pending.slice(count);
  }

  async function getUpdates(timeout: number): Promise<void> {
    const updates = await persistently(() =>
      api.getUpdates({ offset, timeout, allowed_updates: ALLOWED_UPDATES }, forGrammy(stop)),
    );
    // It is confirmed now. An offset kept longer would hide updates after a quiet week, when
    // Telegram begins with other ids, perhaps lower ones.
    offset = undefined;
    for (const update of updates) take(update);
  }

  try {
    await persistently(() => api.deleteWebhook({}, forGrammy(stop)));
    while (!stop.aborted) {
      await getUpdates(pending.length === 0 ? LONG_POLL_SECONDS : 0);
      if (pending.length > 0) {
        const pause = Date.now() - newsAt < LATER_AFTER_MS ? PAUSE_MS : LATER_PAUSE_MS;
        await Promise.race([taken.promise, sleep(pause, undefined, { signal: stop })]);
      }
      taken = Promise.withResolvers();
      confirm();
    }
  } catch (error) {
    if (error instanceof WrongToken || !stop.aborted) throw error;
  }

  const deadline = sleep(LAST_UPDATES_WITHIN_MS);
  while (pending.some((entry) => entry.through === undefined && !entry.failed)) {
    taken = Promise.withResolvers();
    if ((await Promise.race([taken.promise, deadline.then(() => 'late')])) === 'late') break;
  }
  confirm();
  if (offset !== undefined) await api.getUpdates({ offset, limit: 1, timeout: 0 }).catch(() => {});
}

/** How many updates from the first may be confirmed: all taken, and none without those it belongs to. */
export function countConfirmable(pending: Pending[]): number {
  let count = 0;
  let through = -1;
  for (const [index, entry] of pending.entries()) {
    if (entry.through === undefined) break;
    const { through: last } = entry;
    through = Math.max(
      through,
      pending.findIndex(({ id }) => id === last),
    );
    if (through <= index) count = index + 1;
  }
  return count;
}
