import type { Db } from '#src/db/connect.ts';
import { listMovableTurns } from '#src/db/turns.ts';

/** How often turns that wait for another process are looked at. */
const LOOK_EVERY_MS = 100;

export interface TurnWaits {
  /**
   * Resolves when the turn's wait is over: it ended, lost its process, or is first in its chat.
   * Rejects where the database cannot be reached, or on close.
   */
  over: (turnId: string) => Promise<void>;
  /** Looks at once, because a turn of this process has just ended. */
  look: () => void;
  /** Rejects every wait, now and later, with `reason`. */
  close: (reason: Error) => void;
}

/**
 * The waiting room of one process. However many turns wait, one small query every tenth of a
 * second asks for all of them, and none holds a connection. The query reads states, not events,
 * so nothing can be missed.
 */
export function createTurnWaits(db: Db): TurnWaits {
  const waiting = new Map<string, PromiseWithResolvers<void>>();
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let closed: Error | undefined;

  async function lookOnce(): Promise<void> {
    try {
      for (const turnId of await listMovableTurns(db, [...waiting.keys()])) {
        waiting.get(turnId)?.resolve();
        waiting.delete(turnId);
      }
    } catch (error) {
      rejectAll(error);
    }
  }

  function rejectAll(error: unknown): void {
    for (const wait of waiting.values()) wait.reject(error);
    waiting.clear();
  }

  function look(): void {
    if (waiting.size === 0 || looking !== undefined) return;
    clearTimeout(timer);
    looking = lookOnce().finally(() => {
      looking = undefined;
      if (waiting.size > 0) timer = setTimeout(look, LOOK_EVERY_MS);
    });
  }

  return {
    over(turnId) {
      if (closed !== undefined) return Promise.reject(closed);
      const wait = waiting.get(turnId) ?? Promise.withResolvers<void>();
      waiting.set(turnId, wait);
      if (timer === undefined || waiting.size === 1) timer = setTimeout(look, LOOK_EVERY_MS);
      return wait.promise;
    },
    look,
    close(reason) {
      closed = reason;
      clearTimeout(timer);
      rejectAll(reason);
    },
  };
}
