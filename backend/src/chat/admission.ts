import type { Pool } from 'pg';
import { AppError } from '#src/errors.ts';

/** Turns that a process takes on at once. */
export interface Admission {
  /** False where one more would slow down those that are running; else `leave` follows. */
  enter: () => boolean;
  leave: () => void;
}

/** A burst of so many statements is worked off in a fraction of a second; more of them is a jam. */
const MAX_WAITING_STATEMENTS = 256;

export function createAdmission(maxTurns: number, pool: Pick<Pool, 'waitingCount'>): Admission {
  let turns = 0;
  return {
    enter() {
      if (turns >= maxTurns || pool.waitingCount >= MAX_WAITING_STATEMENTS) return false;
      turns += 1;
      return true;
    },
    leave() {
      turns -= 1;
    },
  };
}

/** Nothing was stored. Callers come back at different times, not all in the same second. */
export function overloaded(): AppError {
  return new AppError('overloaded', 'Too many turns are running; send the message again.', {
    retryAfterSeconds: 1 + Math.floor(Math.random() * 3),
  });
}
