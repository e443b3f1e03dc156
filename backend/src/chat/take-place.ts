import type { Claim } from '#src/db/turn-statements.ts';
import { releaseLeases } from '#src/db/turns.ts';
import { countText } from '#src/memory/count-tokens.ts';
import type { CountedText } from '#src/memory/count-tokens.ts';
import type { Chat } from './chat.ts';
import { shuttingDown } from './running-turn.ts';
import type { RunningTurn } from './running-turn.ts';

/** A turn that may be answered, and what is to be answered. */
export type HeldClaim = Claim & { message: CountedText };

/** Waits for the turn's place and claims it; undefined where it has ended meanwhile. */
export async function takePlace(
  chat: Chat,
  turn: RunningTurn,
  retry: boolean,
): Promise<HeldClaim | undefined> {
  const startedAt = performance.now();
  try {
    if (turn.attempt === 0) await chat.waits.over(turn.turnId);
    for (let first = true; ; first = false) {
      if (chat.closing.signal.aborted) throw shuttingDown;
      const begun = await chat.statements.begin(turn.turnId, retry && first);
      if (begun.outcome === 'begun') {
        chat.metrics.waitSeconds.observe((performance.now() - startedAt) / 1_000);
        return { ...begun, message: countText(begun.text) };
      }
      turn.attempt = begun.outcome === 'waiting' ? turn.attempt : undefined;
      if (begun.outcome === 'ended') return undefined;
      await chat.waits.over(turn.turnId);
    }
  } catch (error) {
    if (error === shuttingDown && turn.attempt === 0) {
      await releaseLeases(chat.db, [{ turnId: turn.turnId, attempt: 0 }]);
    }
    throw error;
  }
}

/** Another process has the claim now. Should it come back, the answer begins anew. */
export function withoutClaim(turn: RunningTurn): RunningTurn {
  turn.attempt = undefined;
  turn.stop = new AbortController();
  return turn;
}
