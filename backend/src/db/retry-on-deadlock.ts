const MAX_TRIES = 5;

/**
 * Runs a transaction again where PostgreSQL chose it to break a deadlock: two who lock in different
 * orders (somebody erases what somebody else indexes) are both right, one is just later.
 */
export async function retryOnDeadlock<Result>(transaction: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await transaction();
    } catch (error) {
      const isDeadlock = error instanceof Error && 'code' in error && error.code === '40P01';
      if (!isDeadlock || tries === MAX_TRIES) throw error;
    }
  }
}
