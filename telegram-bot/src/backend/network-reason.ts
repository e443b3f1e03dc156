/** Why a request failed: the system's code, which is all that is useful in one line. */
export function networkReason(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code;
    if (cause.name === 'TimeoutError') return 'it did not answer in time';
  }
  return error instanceof Error ? error.message : String(error);
}
