import OpenAI from 'openai';
import { Agent, fetch as undiciFetch } from 'undici';
import type { ModelConfig } from '#src/config.ts';
import { retryAfterSeconds } from './retry-after.ts';

export type OpenAiConfig = Extract<ModelConfig, { kind: 'openai' }>;

/** OpenRouter has fields of its own; other servers may refuse them. */
export function isOpenRouter(baseUrl: string): boolean {
  return new URL(baseUrl).hostname === 'openrouter.ai';
}

export function isOpenAi(baseUrl: string): boolean {
  return new URL(baseUrl).hostname === 'api.openai.com';
}

export interface Connection {
  /**
   * The client for one attempt that must be over at `deadline` (in `performance.now()` time). It retries
   * twice, with backoff, jitter and the provider's `retry-after`; a wait past the deadline is not begun.
   */
  clientUntil: (deadline: number) => OpenAI;
  /** Cuts every socket. */
  close: () => Promise<void>;
}

// One function under two type declarations, undici's own and the copy in @types/node, which do not fit each other.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const fetch = undiciFetch as unknown as typeof globalThis.fetch;

/** One keep-alive pool to the provider, shared by all calls. */
export function openConnection(config: OpenAiConfig): Connection {
  const pool = new Agent({
    keepAliveTimeout: 30_000,
    // Only our own deadline ends a call: it knows the reason.
    headersTimeout: 0,
    bodyTimeout: 0,
    // Over HTTP/2 an abort leaves the socket open; over HTTP/1.1 it closes it, which the provider notices.
    allowH2: false,
  });
  const client = new OpenAI({
    baseURL: config.baseUrl,
    // What is not given here the client takes from the environment, where it belongs to another service.
    apiKey: config.apiKey ?? 'absent',
    organization: null,
    project: null,
    defaultHeaders: config.apiKey === undefined ? { authorization: null } : {},
    fetchOptions: { dispatcher: pool },
    maxRetries: 2,
    logLevel: 'off',
  });
  return {
    clientUntil: (deadline) =>
      client.withOptions({
        fetch: async (url, init) => refuseLongWait(await fetch(url, init), deadline),
      }),
    close: () => pool.destroy(),
  };
}

/** `x-should-retry` is the header by which the openai client is told whether to try again. */
function refuseLongWait(response: Response, deadline: number): Response {
  const wait = retryAfterSeconds(response.headers);
  if (response.ok || wait === undefined || performance.now() + wait * 1000 < deadline) {
    return response;
  }
  const headers = new Headers([...response.headers, ['x-should-retry', 'false']]);
  return new Response(response.body, { status: response.status, headers });
}
