import type { z } from 'zod';
import type { Logger } from '#src/logger.ts';
import { createTrouble } from '#src/trouble.ts';
import { networkReason } from './network-reason.ts';
import { BackendUnavailable, ProblemBody, toBackendError } from './problem.ts';

export interface RequestOptions {
  body?: object;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Longer than any answer of the backend but a stream takes, its long poll included. */
const TIMEOUT_MS = 60_000;

export interface BackendHttp {
  /** Resolves with a successful response only. */
  send(method: string, path: string, options?: RequestOptions): Promise<Response>;
  json<T>(method: string, path: string, shape: z.ZodType<T>, options?: RequestOptions): Promise<T>;
}

export function createBackendHttp(
  { url, apiKey }: { url: string; apiKey: string | undefined },
  logger: Logger,
): BackendHttp {
  const trouble = createTrouble(logger, `The backend at ${url}`);
  const authorization: Record<string, string> =
    apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };

  async function fetchOnce(
    method: string,
    path: string,
    options: RequestOptions,
  ): Promise<Response> {
    try {
      return await fetch(url + path, {
        method,
        headers: { 'content-type': 'application/json', ...authorization, ...options.headers },
        body: options.body === undefined ? undefined : JSON.stringify(options.body),
        signal: options.signal ?? AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new BackendUnavailable(networkReason(error), { cause: error });
    }
  }

  async function send(
    method: string,
    path: string,
    options: RequestOptions = {},
  ): Promise<Response> {
    try {
      const response = await fetchOnce(method, path, options);
      if (!response.ok) throw await readProblem(response);
      trouble(undefined);
      return response;
    } catch (error) {
      if (error instanceof BackendUnavailable && !error.isBusy) trouble(error.message);
      throw error;
    }
  }

  return {
    send,
    async json(method, path, shape, options) {
      const response = await send(method, path, options);
      const body: unknown = await response.json().catch((error: unknown) => {
        throw new BackendUnavailable(networkReason(error), { cause: error });
      });
      return shape.parse(body);
    },
  };
}

async function readProblem(response: Response): Promise<Error> {
  const body = ProblemBody.safeParse(await response.json().catch(() => undefined));
  if (body.success) return toBackendError(body.data);
  return new BackendUnavailable(`it answered with status ${response.status}`);
}
