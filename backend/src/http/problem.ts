import { randomUUID } from 'node:crypto';
import { RequestError } from '@hono/node-server';
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { AppError, asAppError, errorCodes } from '#src/errors.ts';
import type { HttpEnv } from './env.ts';

/** An error as RFC 9457 has it, with our `code` and the request's id. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  request_id: string;
  errors?: { path: string; message: string }[];
  pairing_code?: string;
  /** Seconds, as in the Retry-After header; a stream's `error` event has no header. */
  retry_after?: number;
}

export function toProblem(error: unknown, requestId: string): Problem {
  const known = asAppError(error);
  const { status, title } = errorCodes[known.code];
  return {
    type: `urn:llm-bot-core:problem:${known.code}`,
    title,
    status,
    detail: known.message,
    code: known.code,
    request_id: requestId,
    errors: known.details.errors,
    pairing_code: known.details.pairingCode,
    retry_after: known.details.retryAfterSeconds,
  };
}

/** The writer of error responses. */
export function respondWithProblem(c: Context<HttpEnv>, error: unknown): Response {
  const known = asAppError(fromHono(error));
  if (known.code === 'internal_error') {
    const line = { request_id: c.get('requestId'), err: known.cause ?? known };
    c.get('logger').error(line, 'request failed');
  }
  c.set('problemCode', known.code);
  return problemResponse(known, c.get('requestId'));
}

/** For what never reaches the app: a target or Host header that makes no URL. */
export function respondToBrokenRequest(error: unknown): Response {
  const known =
    error instanceof RequestError
      ? new AppError('malformed_request', 'The request target or the Host header is not valid.')
      : asAppError(error);
  return problemResponse(known, randomUUID());
}

/** The same for a connection on which no request could be read. */
export function problemText(error: AppError): { status: number; text: string } {
  const problem = toProblem(error, randomUUID());
  return { status: problem.status, text: JSON.stringify(problem) };
}

function problemResponse(known: AppError, requestId: string): Response {
  const problem = toProblem(known, requestId);
  const headers = new Headers({ 'content-type': 'application/problem+json' });
  // The rest of the body is not read, so nothing can come after it.
  if (known.code === 'body_too_large') headers.set('connection', 'close');
  if (known.code === 'unauthorized') headers.set('www-authenticate', 'Bearer');
  if (known.details.retryAfterSeconds !== undefined) {
    headers.set('retry-after', String(known.details.retryAfterSeconds));
  }
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}

/** Hono reports a body that is not JSON as an exception with status 400, and one that broke off as Node does. */
function fromHono(error: unknown): unknown {
  if (error instanceof Error && error.message === 'aborted') {
    return new AppError('malformed_request', 'The connection was closed amid the request.', {
      cause: error,
    });
  }
  if (!(error instanceof HTTPException)) return error;
  if (error.status === 400) {
    return new AppError('malformed_json', 'The body is not valid JSON.', { cause: error });
  }
  return error;
}
