import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** The body of a chat-completions request, as far as tests look at it. */
export interface FakeModelRequestBody {
  model: string;
  messages: { role: string; content: string }[];
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
  [field: string]: unknown;
}

/** What the fake does with one request. Delays in milliseconds. Streamed text goes word by word. */
export type FakeModelBehaviour =
  | {
      kind: 'reply';
      text?: string;
      delayMs?: number;
      chunkDelayMs?: number;
      finishReason?: string;
      usage?: { prompt_tokens: number; completion_tokens: number; cost?: number };
    }
  | { kind: 'status'; status: number; headers?: Record<string, string>; body?: unknown }
  /** Never answers, or says `text` first and falls silent. */
  | { kind: 'hang'; text?: string }
  /** Says `text`, then drops the connection; with `politely` it ends the response as if it were whole. */
  | { kind: 'close-mid-stream'; text: string; politely?: boolean }
  | { kind: 'malformed-json' }
  | { kind: 'empty' };

/** Answers one request as told. A `hang` leaves the response open. */
export async function respond(
  res: ServerResponse,
  body: FakeModelRequestBody,
  behaviour: FakeModelBehaviour,
): Promise<void> {
  switch (behaviour.kind) {
    case 'reply':
      return reply(res, body, behaviour);
    case 'empty':
      return reply(res, body, { ...behaviour, text: '' });
    case 'status':
      return sendJson(res, behaviour.status, behaviour.body ?? {}, behaviour.headers);
    case 'malformed-json':
      if (body.stream === true) startStream(res).end('data: {"choices": [\n\n');
      else res.setHeader('content-type', 'application/json').end('{"choices": [');
      return;
    case 'hang':
      if (behaviour.text !== undefined) await say(res, body, behaviour.text);
      return;
    case 'close-mid-stream':
      await say(res, body, behaviour.text);
      if (behaviour.politely === true) res.end();
      else res.destroy();
  }
}

async function reply(
  res: ServerResponse,
  body: FakeModelRequestBody,
  {
    text = echo(body),
    delayMs = 0,
    chunkDelayMs = 0,
    finishReason = 'stop',
    usage = { prompt_tokens: countWords(body), completion_tokens: text.split(' ').length },
  }: Omit<Extract<FakeModelBehaviour, { kind: 'reply' }>, 'kind'>,
): Promise<void> {
  await sleep(delayMs);
  const total = { ...usage, total_tokens: usage.prompt_tokens + usage.completion_tokens };
  if (body.stream !== true) {
    const message = { role: 'assistant', content: text };
    const choices = [{ index: 0, message, finish_reason: finishReason }];
    return sendJson(res, 200, { ...head(body, 'chat.completion'), choices, usage: total });
  }
  await say(res, body, text, chunkDelayMs);
  writeChunk(res, body, [{ index: 0, delta: {}, finish_reason: finishReason }]);
  if (body.stream_options?.include_usage === true) writeChunk(res, body, [], { usage: total });
  res.end('data: [DONE]\n\n');
}

/** The first part of an answer: chunks of a stream, or the opening of a JSON body. */
async function say(
  res: ServerResponse,
  body: FakeModelRequestBody,
  text: string,
  chunkDelayMs = 0,
): Promise<void> {
  if (body.stream !== true) {
    const opening = `{"choices":[{"message":{"role":"assistant","content":${JSON.stringify(text)}`;
    await written(res.setHeader('content-type', 'application/json'), opening);
    return;
  }
  startStream(res);
  for (const content of text.match(/\s*\S+\s*$|\s*\S+|\s+/g) ?? []) {
    if (res.destroyed) return;
    if (chunkDelayMs > 0) await sleep(chunkDelayMs);
    writeChunk(res, body, [{ index: 0, delta: { content }, finish_reason: null }]);
  }
  await written(res, ': said\n\n');
}

/** Resolves when the bytes have left, so that a connection dropped next has delivered them. */
async function written(res: ServerResponse, text: string): Promise<void> {
  await new Promise<void>((resolve) => {
    res.write(text, () => resolve());
  });
}

function startStream(res: ServerResponse): ServerResponse {
  return res.writeHead(200, { 'content-type': 'text/event-stream' });
}

function writeChunk(
  res: ServerResponse,
  body: FakeModelRequestBody,
  choices: unknown[],
  rest: object = {},
): void {
  const chunk = { ...head(body, 'chat.completion.chunk'), choices, ...rest };
  res.write(`data: ${JSON.stringify(chunk)}\n\n`);
}

function head(body: FakeModelRequestBody, object: string): object {
  return { id: 'chatcmpl-fake', object, created: 0, model: body.model };
}

export function sendJson(
  res: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}

function echo(body: FakeModelRequestBody): string {
  return `echo: ${body.messages.findLast(({ role }) => role === 'user')?.content ?? ''}`;
}

function countWords(body: FakeModelRequestBody): number {
  return body.messages.reduce((sum, { content }) => sum + content.split(/\s+/).length, 0);
}
