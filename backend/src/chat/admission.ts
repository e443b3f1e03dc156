import { AppError } from '#src/errors.ts';

/** Turns that a process takes on at once. */
export interface Admission {
  /** False where there are as many as it may have; else `leave` follows. */
  enter: () => boolean;
  leave: () => void;
}

export function createAdmission(maxTurns: number): Admission {
  let turns = 0;
  return {
    enter() {
      if (turns >= maxTurns) return false;
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
