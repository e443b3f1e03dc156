import { setTimeout as sleep } from 'node:timers/promises';

const MAX_TRIES = 20;
const PAUSE_MS = 200;

/**
 * Runs a transaction again where a lock stood in its way: two who lock in different orders (somebody
 * erases what somebody else indexes) are both right, one is just later. Rejects with the conflict
 * where it stands for seconds.
 */
export async function retryOnLockConflict<Result>(
  transaction: () => Promise<Result>,
): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await transaction();
    } catch (error) {
      if (!isLockConflict(error) || tries === MAX_TRIES) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

/** lock_not_available, deadlock_detected */
export function isLockConflict(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && ['55P03', '40P01'].includes(String(error.code))
  );
}
