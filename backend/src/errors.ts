/**
 * Every error a caller can meet: its HTTP status and the title that never changes.
 * What is not listed here is a defect and becomes an opaque 500.
 */
export const errorCodes = {
  malformed_json: { status: 400, title: 'The body is not valid JSON' },
  malformed_request: { status: 400, title: 'The request is not valid HTTP' },
  unauthorized: { status: 401, title: 'A valid API key is required' },
  access_denied: { status: 403, title: 'The user may not speak to this bot' },
  operator_not_allowed: { status: 403, title: 'The operator may not do this' },
  host_not_allowed: { status: 403, title: 'This host name is not served' },
  not_found: { status: 404, title: 'There is no such resource' },
  request_timeout: { status: 408, title: 'The request came too slowly' },
  turn_cancelled: { status: 409, title: 'The answer was stopped' },
  turn_not_failed: { status: 409, title: 'The turn cannot be retried' },
  summaries_off: { status: 409, title: 'Summaries are switched off' },
  delivery_conflict: { status: 409, title: 'The delivery is already in another state' },
  reply_deleted: { status: 410, title: 'The reply was deleted' },
  body_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body must be JSON' },
  validation_failed: { status: 422, title: 'The request is not valid' },
  idempotency_mismatch: { status: 422, title: 'The message id was used for another message' },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  rate_limited: { status: 429, title: 'Too many messages' },
  budget_exhausted: { status: 429, title: 'The budget is used up' },
  overloaded: { status: 429, title: 'The server is busy' },
  summary_outrun: { status: 409, title: 'The conversation changes faster than it is summarised' },
  internal_error: { status: 500, title: 'Something went wrong on our side' },
  model_failed: { status: 502, title: 'The model gave no usable answer' },
  model_paused: {
    status: 503,
    title: 'The model is not asked for a while, because it kept failing',
  },
  database_unavailable: { status: 503, title: 'The database cannot be reached' },
  shutting_down: { status: 503, title: 'The server is shutting down' },
  model_timeout: { status: 504, title: 'The model did not answer in time' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof errorCodes;

/** For codes that were stored: a later version may have dropped one. */
export function isErrorCode(code: string | null): code is ErrorCode {
  return code !== null && code in errorCodes;
}

/** `path` names the field (`text`, `items.0.id`), `message` says what is wrong with it. */
export interface FieldError {
  path: string;
  message: string;
}

/** What a caller may be told beside the message, and what retrying would bring. */
export interface ErrorDetails {
  errors?: FieldError[];
  retryAfterSeconds?: number;
  /** What an operator approves to let the user in. */
  pairingCode?: string;
  /** The same request would fail again: not worth a retry. */
  isPermanent?: boolean;
}

/** A failure with a code from {@link errorCodes}. `message` is shown to the caller: no secrets, no message text. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(
    code: ErrorCode,
    message: string,
    { cause, ...details }: ErrorDetails & { cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.name = 'AppError';
    this.code = code;
    this.details = details;
  }
}

/**
 * What PostgreSQL and its driver say when the server is away, starting, stopping or too slow:
 * SQLSTATE classes 08 (connection), 53 (resources), 57P (shutdown), 57014 (its statement_timeout),
 * network errors, and the driver's own errors, which have no code.
 */
const outageCodes =
  /^(08...|53...|57P..|57014|ECONN.*|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT)$/;
const outageMessages =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed|Cannot use a pool after calling end)/;

/** Any failure as one that a caller may see. What is not known becomes an opaque `internal_error`. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
    if (outageCodes.test(code) || outageMessages.test(error.message)) {
      return new AppError(
        'database_unavailable',
        'The database cannot be reached; try again soon.',
        {
          cause: error,
          retryAfterSeconds: 2,
        },
      );
    }
  }
  return new AppError('internal_error', 'The request could not be handled; see the server log.', {
    cause: error,
  });
}
