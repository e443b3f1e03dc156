import { endTurn, listOrphanedTurns, listStoppedTurns, renewLeases } from '#src/db/turns.ts';
import type { HeldTurn } from '#src/db/turns.ts';
import { asAppError } from '#src/errors.ts';
import type { Chat } from './chat.ts';
import { answerTurn } from './handle-message.ts';
import { claimLost, runTurn, shuttingDown, stoppedByUser } from './running-turn.ts';

const RENEW_EVERY_MS = 5_000;
const RECOVER_EVERY_MS = 2_000;
const LOOK_FOR_STOPS_EVERY_MS = 250;

/** A turn that took down its process this many times is not tried again by itself. */
const MAX_ATTEMPTS = 5;
const RECOVER_AT_ONCE = 20;

/**
 * Keeps the claims of this process alive, stops what was asked to stop elsewhere, and takes over
 * turns whose process is gone: their replies wait in the outbox. Returns the function that ends it.
 */
export function startTurnKeeper(chat: Chat): () => void {
  const timers = [
    every(chat, RENEW_EVERY_MS, () => renewClaims(chat)),
    every(chat, RECOVER_EVERY_MS, () => recoverTurns(chat)),
    every(chat, LOOK_FOR_STOPS_EVERY_MS, () => stopAskedTurns(chat)),
  ];
  return () => {
    for (const stop of timers) stop();
  };
}

/**
 * Begins no more turns, lets the running ones finish until `deadlineMs` from now,
 * then stops the rest and gives their claims back for others to take over.
 */
export async function drainTurns(chat: Chat, deadlineMs: number): Promise<void> {
  chat.closing.abort();
  chat.waits.close(shuttingDown);
  const all = Promise.allSettled([...chat.running.values()].map((turn) => turn.reply));
  const timer = setTimeout(() => {
    for (const turn of chat.running.values()) turn.stop.abort(shuttingDown);
  }, deadlineMs);
  await all;
  clearTimeout(timer);
}

async function renewClaims(chat: Chat): Promise<void> {
  const held = heldTurns(chat);
  if (held.length === 0) return;
  const renewed = new Set(await renewLeases(chat.db, held));
  for (const { turnId, attempt } of held) {
    const turn = chat.running.get(turnId);
    if (turn?.attempt === attempt && attempt > 0 && !renewed.has(turnId)) {
      turn.stop.abort(claimLost);
    }
  }
}

async function recoverTurns(chat: Chat): Promise<void> {
  if (chat.closing.signal.aborted) return;
  for (const orphan of await listOrphanedTurns(chat.db, RECOVER_AT_ONCE)) {
    if (chat.running.has(orphan.id)) continue;
    if (orphan.state === 'answering' && orphan.attempts >= MAX_ATTEMPTS) {
      await endTurn(chat.db, { turnId: orphan.id, attempt: orphan.attempts }, gaveUp);
      chat.metrics.turns.inc({ outcome: 'failed' });
      continue;
    }
    chat.logger.warn({ turn_id: orphan.id, session_id: orphan.session_id }, 'turn taken over');
    runTurn(
      chat,
      {
        turnId: orphan.id,
        chatId: orphan.chat_id,
        requestId: undefined,
        attempt: undefined,
      },
      undefined,
      (turn) => answerTurn(chat, turn, undefined),
    ).catch((error: unknown) => {
      chat.logger.warn({ turn_id: orphan.id, code: asAppError(error).code }, 'takeover failed');
    });
  }
}

const gaveUp = {
  state: 'failed' as const,
  errorCode: 'internal_error',
  error: `The process ended ${MAX_ATTEMPTS} times while answering; not tried again by itself.`,
  context: {},
};

/**
 * Stops that came through another process (those that came through this one were done at once), and
 * answers to a chat that an operator took over.
 */
async function stopAskedTurns(chat: Chat): Promise<void> {
  const claimed = heldTurns(chat).filter((turn) => turn.attempt > 0);
  if (claimed.length === 0) return;
  const turnIds = claimed.map((turn) => turn.turnId);
  for (const { id, silenced } of await listStoppedTurns(chat.db, turnIds)) {
    chat.running.get(id)?.stop.abort(silenced ? claimLost : stoppedByUser);
  }
}

function heldTurns(chat: Chat): HeldTurn[] {
  return [...chat.running.values()].flatMap(({ turnId, attempt }) =>
    attempt === undefined ? [] : [{ turnId, attempt }],
  );
}

/** Runs `work` again and again, `ms` after it last ended. An outage is logged and waited out. */
function every(chat: Chat, ms: number, work: () => Promise<void>): () => void {
  let timer = setTimeout(run, ms);
  let stopped = false;
  function run(): void {
    work()
      .catch((error: unknown) => {
        chat.logger.warn({ err: error }, 'turn keeper: will try again');
      })
      .finally(() => {
        if (!stopped) timer = setTimeout(run, ms);
      });
  }
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
