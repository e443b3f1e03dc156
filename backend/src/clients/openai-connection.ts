import type { IncomingHttpHeaders } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import type { Dispatcher } from 'undici';
import type { ModelConfig } from '#src/config.ts';
import type { AnswerRequest } from './openai-request.ts';
import { retryAfterSeconds } from './retry-after.ts';
import { requestWhole } from './whole-response.ts';
import type { WholeResponse } from './whole-response.ts';

export type OpenAiConfig = Extract<ModelConfig, { kind: 'openai' }>;

/** OpenRouter has fields of its own; other servers may refuse them. */
export function isOpenRouter(baseUrl: string): boolean {
  return new URL(baseUrl).hostname === 'openrouter.ai';
}

export function isOpenAi(baseUrl: string): boolean {
  return new URL(baseUrl).hostname === 'api.openai.com';
}

/** The body of a successful response. */
export type AnswerBody = Dispatcher.ResponseData['body'];

/** When an attempt must be over, in `performance.now()` time; the signal aborts it. */
export interface Limits {
  signal: AbortSignal;
  deadline: number;
}

export interface Connection {
  /**
   * Asks for an answer, and again after a passing failure: twice, with backoff, jitter and the
   * provider's `retry-after`; a wait past the deadline is not begun. Rejects with
   * {@link ProviderError} or {@link UnreachableError}.
   */
  ask: (body: AnswerRequest, limits: Limits) => Promise<string>;
  /** The same for an answer that is read while it comes; it must be, or the connection is lost. */
  askForStream: (body: AnswerRequest, limits: Limits) => Promise<AnswerBody>;
  /** Cuts every socket. */
  close: () => Promise<void>;
}

/** What a provider said instead of an answer. Without a status it came with status 200. */
export class ProviderError extends Error {
  readonly status: number | undefined;
  /** The `error` of its body. */
  readonly said: unknown;
  readonly retryAfterSeconds: number | undefined;

  constructor(said: unknown, status?: number, wait?: number) {
    super(`the provider failed with ${status ?? 'an error in its answer'}`);
    this.status = status;
    this.said = said;
    this.retryAfterSeconds = wait;
  }
}

/** No response came: its cause says why. */
export class UnreachableError extends Error {}

const RETRIES = 2;
const FIRST_PAUSE_MS = 500;
const passingStatuses = new Set([408, 409, 429]);

/**
 * One keep-alive pool to the provider, shared by all calls. The call is made on undici itself:
 * the openai client and fetch together cost more CPU than the rest of a turn.
 */
export function openConnection(config: OpenAiConfig): Connection {
  const url = new URL(`${config.baseUrl.replace(/\/$/, '')}/chat/completions`);
  const path = url.pathname + url.search;
  const pool = new Pool(url.origin, {
    keepAliveTimeout: 30_000,
    // Only our own deadline ends a call: it knows the reason.
    headersTimeout: 0,
    bodyTimeout: 0,
    // Over HTTP/2 an abort leaves the socket open; over HTTP/1.1 it closes it, which the provider notices.
    allowH2: false,
  });
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'llm-bot-core',
    ...(config.apiKey === undefined ? {} : { authorization: `Bearer ${config.apiKey}` }),
  };

  async function askOnce(body: string, signal: AbortSignal): Promise<Outcome<string>> {
    let response: WholeResponse;
    try {
      response = await requestWhole(pool, { method: 'POST', path, headers, body }, signal);
    } catch (cause) {
      return noResponse(cause);
    }
    const { statusCode, text, failure } = response;
    if (!isSuccess(statusCode)) return refusal(statusCode, response.headers, text);
    if (failure !== undefined) throw failure;
    return { answer: text };
  }

  async function askOnceForStream(body: string, signal: AbortSignal): Promise<Outcome<AnswerBody>> {
    let response: Dispatcher.ResponseData;
    try {
      response = await pool.request({ method: 'POST', path, headers, body, signal });
    } catch (cause) {
      return noResponse(cause);
    }
    if (isSuccess(response.statusCode)) return { answer: response.body };
    const text = await response.body.text().catch(() => '');
    return refusal(response.statusCode, response.headers, text);
  }

  return {
    ask: (body, limits) => retry(askOnce, body, limits),
    askForStream: (body, limits) => retry(askOnceForStream, body, limits),
    close: () => pool.destroy(),
  };
}

type Outcome<Answer> =
  | { answer: Answer }
  | { failure: ProviderError | UnreachableError; isPassing: boolean };

async function retry<Answer>(
  askOnce: (body: string, signal: AbortSignal) => Promise<Outcome<Answer>>,
  body: AnswerRequest,
  { signal, deadline }: Limits,
): Promise<Answer> {
  const text = JSON.stringify(body);
  for (let tries = 0; ; tries += 1) {
    const outcome = await askOnce(text, signal);
    if ('answer' in outcome) return outcome.answer;
    signal.throwIfAborted();
    const { failure, isPassing } = outcome;
    const asked = failure instanceof ProviderError ? failure.retryAfterSeconds : undefined;
    const isTooLong = asked !== undefined && performance.now() + asked * 1_000 >= deadline;
    if (!isPassing || isTooLong || tries === RETRIES) throw failure;
    const backoff = FIRST_PAUSE_MS * 2 ** tries * (1 - Math.random() / 4);
    await sleep(asked === undefined ? backoff : asked * 1_000, undefined, { signal });
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function noResponse(cause: unknown) {
  return { failure: new UnreachableError('no response', { cause }), isPassing: true };
}

function refusal(status: number, headers: IncomingHttpHeaders, text: string) {
  const given = new Headers(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  const advice = given.get('x-should-retry');
  const isPassing = passingStatuses.has(status) || status >= 500;
  return {
    failure: new ProviderError(errorOf(text), status, retryAfterSeconds(given)),
    isPassing: advice === null ? isPassing : advice === 'true',
  };
}

function errorOf(text: string): unknown {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? Reflect.get(body, 'error') : undefined;
  } catch {
    return undefined;
  }
}
