import { GrammyError, HttpError } from 'grammy/web';

/**
 * What may be logged of an error. Telegram's carry the whole payload, which is somebody's words,
 * and the network's can carry the address, which holds the token: neither is passed on.
 */
export function describeError(error: unknown): Record<string, unknown> {
  if (error instanceof GrammyError) {
    return { method: error.method, status: error.error_code, reason: error.description };
  }
  if (error instanceof HttpError) return { reason: networkCode(error) ?? error.message };
  if (error instanceof Error)
    return { reason: `${error.name}: ${error.message}`, stack: error.stack };
  return { reason: String(error) };
}

/** The system's code (`ECONNREFUSED`, …) of a request that failed, where it has one. */
export function networkCode(error: HttpError): string | undefined {
  for (let cause: unknown = error.error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code;
  }
  return undefined;
}
