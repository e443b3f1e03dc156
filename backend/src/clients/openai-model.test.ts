import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AppError } from '#src/errors.ts';
import type { ErrorCode } from '#src/errors.ts';
import { startFakeModel } from '#test/fake-model.ts';
import type { FakeModel } from '#test/fake-model.ts';
import type { ClosableModel, CompleteOptions, PromptMessage } from './model.ts';
import type { OpenAiConfig } from './openai-connection.ts';
import { createOpenAiModel } from './openai-model.ts';
import { requestsFor } from './openai-request.ts';

const secret = 'the violet password of the harbour';
const prompt: PromptMessage[] = [
  { part: 'instruction', role: 'system', content: 'Be brief.' },
  { part: 'message', role: 'user', content: `Keep ${secret} to yourself` },
];
const never = new AbortController().signal;
const busy = { kind: 'status', status: 503, headers: { 'retry-after-ms': '1' } } as const;

let fake: FakeModel;
let model: ClosableModel;

beforeEach(async () => {
  fake = await startFakeModel();
  configure({});
});
afterEach(async () => {
  await model.close();
  await fake.close();
});

function configure(overrides: Partial<OpenAiConfig>): void {
  model = createOpenAiModel({
    kind: 'openai',
    baseUrl: fake.url,
    apiKey: 'key-of-the-test',
    models: ['first'],
    timeoutMs: 10_000,
    ...overrides,
  });
}

/** Completes the prompt and returns the error it rejects with. */
async function failureOf(code: ErrorCode, options: Partial<CompleteOptions> = {}) {
  const error: unknown = await model.complete(prompt, { signal: never, ...options }).then(
    ({ text }) => expect.fail(`answered ${text}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof AppError)) return expect.fail(`not an AppError: ${String(error)}`);
  expect(error.code).toBe(code);
  expect(error.message).not.toMatch(/\n|violet|password|key-of-the-test/);
  return error;
}

/** Both ways of asking, each with the deltas it handed out. */
const ways = [
  { way: 'whole', stream: false },
  { way: 'streamed', stream: true },
];

function collect(stream: boolean): { deltas: string[]; options: Partial<CompleteOptions> } {
  const deltas: string[] = [];
  return { deltas, options: stream ? { onDelta: (text) => deltas.push(text) } : {} };
}

const modelsAsked = () => fake.requests.map(({ body }) => body.model);

test.each(ways)('answers $way, with the usage and the cost', async ({ stream }) => {
  const usage = { prompt_tokens: 7, completion_tokens: 3, cost: 0.0012 };
  fake.behave({ kind: 'reply', text: 'Good  morning, Ada\n', usage });
  const { deltas, options } = collect(stream);
  expect(await model.complete(prompt, { signal: never, ...options })).toEqual({
    text: 'Good  morning, Ada\n',
    model: 'first',
    finishReason: 'stop',
    promptTokens: 7,
    completionTokens: 3,
    costUsd: 0.0012,
  });
  expect(deltas.join('')).toBe(stream ? 'Good  morning, Ada\n' : '');
  expect(fake.requests[0]?.body.stream ?? false).toBe(stream);
});

test.each([
  ['length', 'length'],
  ['content_filter', 'stop'],
])('a finish reason %s becomes %s', async (finishReason, expected) => {
  fake.behave({ kind: 'reply', text: 'Half of', finishReason });
  const completion = await model.complete(prompt, { signal: never });
  expect(completion.finishReason).toBe(expected);
});

test('sends the prompt with the leading system messages as one, and nothing about its parts', async () => {
  await model.complete(
    [
      { part: 'instruction', role: 'system', content: 'Be brief.' },
      { part: 'summary', role: 'system', content: 'Ada lives in Riga.' },
      { part: 'window', role: 'user', content: 'Hello' },
      { part: 'window', role: 'assistant', content: 'Hello, Ada' },
      { part: 'recalled', role: 'system', content: '"I like tea"' },
      { part: 'message', role: 'user', content: 'Where do I live?' },
    ],
    { signal: never },
  );
  expect(fake.requests[0]?.body).toEqual({
    model: 'first',
    messages: [
      { role: 'system', content: 'Be brief.\n\nAda lives in Riga.' },
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hello, Ada' },
      { role: 'user', content: '"I like tea"\nWhere do I live?' },
    ],
  });
});

test('asks for the cost at OpenRouter only', () => {
  expect(requestsFor('https://openrouter.ai/api/v1')('m', prompt, undefined).usage).toEqual({
    include: true,
  });
  expect(requestsFor('http://127.0.0.1:11434/v1')('m', prompt, undefined)).not.toHaveProperty(
    'usage',
  );
});

test('sends the configured key, and without one none at all, whatever the environment holds', async () => {
  await model.complete(prompt, { signal: never });
  await model.close();
  vi.stubEnv('OPENAI_API_KEY', 'sk-for-embeddings');
  vi.stubEnv('OPENAI_ADMIN_KEY', 'sk-admin');
  vi.stubEnv('OPENAI_PROJECT_ID', 'project-other');
  vi.stubEnv('OPENAI_ORG_ID', 'org-other');
  configure({ apiKey: undefined });
  await model.complete(prompt, { signal: never });
  vi.unstubAllEnvs();
  expect(fake.requests[0]?.headers.authorization).toBe('Bearer key-of-the-test');
  expect(JSON.stringify(fake.requests[1]?.headers)).not.toMatch(/sk-|-other|authorization/i);
});

test('keeps its connections for the calls that follow', async () => {
  for (let call = 0; call < 8; call += 1) await model.complete(prompt, { signal: never });
  // Two, because the next call can begin before the pool has taken the first connection back.
  expect(new Set(fake.requests.map(({ clientPort }) => clientPort)).size).toBeLessThanOrEqual(2);
});

test('tries again after a passing failure', async () => {
  fake.behave([busy, busy, { kind: 'reply', text: 'Here' }]);
  expect((await model.complete(prompt, { signal: never })).text).toBe('Here');
  expect(fake.requests).toHaveLength(3);
});

test('tries a bounded number of times', async () => {
  fake.behave(busy);
  const error = await failureOf('model_failed');
  expect(error.message).toBe('first: HTTP 503');
  expect(error.cause).toMatchObject({ status: 503 });
  expect(fake.requests).toHaveLength(3);
});

test('waits as long as the provider asks', async () => {
  const limited = { kind: 'status', status: 429, headers: { 'retry-after': '1' } } as const;
  fake.behave([limited, { kind: 'reply' }]);
  await model.complete(prompt, { signal: never });
  const [first, second] = fake.requests;
  expect((second?.startedAt ?? 0) - (first?.endedAt ?? 0)).toBeGreaterThan(950);
});

test('does not begin a wait that is longer than its time', async () => {
  fake.behave({ kind: 'status', status: 429, headers: { 'retry-after': '30' } });
  const error = await failureOf('model_failed');
  expect(error.details.retryAfterSeconds).toBe(30);
  expect(error.message).toBe('first: HTTP 429');
  expect(fake.requests).toHaveLength(1);
});

test('after all tries at a limit says when to come back', async () => {
  const body = { error: { message: 'Rate limit reached' } };
  fake.behave({ kind: 'status', status: 429, headers: { 'retry-after-ms': '20' }, body });
  const error = await failureOf('model_failed');
  expect(error.message).toBe('first: HTTP 429: Rate limit reached');
  expect(error.details.retryAfterSeconds).toBe(1);
  expect(fake.requests).toHaveLength(3);
});

test('falls back in the order of the models, for every kind of failure', async () => {
  configure({ models: ['a', 'b', 'c', 'd', 'e', 'f'] });
  fake.behave((body) => {
    if (body.model === 'a') return { kind: 'status', status: 400 };
    if (body.model === 'b') return { kind: 'empty' };
    if (body.model === 'c') return { kind: 'malformed-json' };
    if (body.model === 'd') return { kind: 'close-mid-stream', text: 'Lost' };
    if (body.model === 'e') return { kind: 'status', status: 200, body: { choices: [] } };
    return { kind: 'reply', text: 'Here' };
  });
  const completion = await model.complete(prompt, { signal: never });
  expect(completion).toMatchObject({ text: 'Here', model: 'f' });
  expect(modelsAsked()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
});

test('a model that hangs leaves time for its fallback', async () => {
  configure({ models: ['a', 'b'], timeoutMs: 1_000 });
  fake.behave((body) => (body.model === 'a' ? { kind: 'hang' } : { kind: 'reply' }));
  expect((await model.complete(prompt, { signal: never })).model).toBe('b');
  await vi.waitFor(() => expect(fake.requests[0]?.closedByClient).toBe(true));
});

test('when every model failed says what each one did', async () => {
  configure({ models: ['a', 'b'] });
  fake.behave((body) => (body.model === 'a' ? { kind: 'status', status: 400 } : { kind: 'empty' }));
  const error = await failureOf('model_failed');
  expect(error.message).toBe('a: HTTP 400; b: the answer is empty');
});

test.each(ways)('a $way answer that never comes ends at the deadline', async ({ stream }) => {
  configure({ timeoutMs: 300 });
  fake.behave({ kind: 'hang' });
  const error = await failureOf('model_timeout', collect(stream).options);
  expect(error.message).toBe('first: no whole answer in its time (LLM_TIMEOUT_MS is 300)');
  await vi.waitFor(() => expect(fake.requests[0]?.closedByClient).toBe(true));
});

test.each(ways)('a $way answer that stops half-way ends at the deadline', async ({ stream }) => {
  configure({ timeoutMs: 300, models: ['first', 'second'] });
  fake.behave({ kind: 'hang', text: 'Once upon a' });
  const { deltas, options } = collect(stream);
  const started = performance.now();
  await failureOf('model_timeout', options);
  expect(performance.now() - started).toBeLessThan(2_000);
  expect(deltas.join('')).toBe(stream ? 'Once upon a' : '');
  expect(modelsAsked()).toEqual(stream ? ['first'] : ['first', 'second']);
});

test('an answer that began to stream has the whole time, not its share', async () => {
  configure({ models: ['a', 'b'], timeoutMs: 2_000 });
  fake.behave({ kind: 'reply', text: 'one two three four five six', chunkDelayMs: 250 });
  const completion = await model.complete(prompt, { signal: never, ...collect(true).options });
  expect(completion).toMatchObject({ text: 'one two three four five six', model: 'a' });
});

test('the deadline holds for all retries together', async () => {
  configure({ timeoutMs: 500 });
  fake.behave({ kind: 'status', status: 500, headers: { 'retry-after-ms': '300' } });
  await failureOf('model_failed');
  expect(fake.requests).toHaveLength(2);
});

test('the deadline ends a wait between two tries', async () => {
  configure({ timeoutMs: 200 });
  fake.behave({ kind: 'status', status: 500 });
  await failureOf('model_timeout');
  expect(fake.requests).toHaveLength(1);
});

test.each(ways)('an abort closes the connection of a $way answer at once', async ({ stream }) => {
  configure({ models: ['first', 'second'] });
  const { deltas, options } = collect(stream);
  fake.behave({ kind: 'hang', text: 'Once upon a' });
  const controller = new AbortController();
  const completion = model.complete(prompt, { ...options, signal: controller.signal });
  await vi.waitFor(() => expect(stream ? deltas.join('') : fake.requests[0]).toBeTruthy());
  const reason = new Error('the chat was reset');
  const aborted = performance.now();
  controller.abort(reason);
  await expect(completion).rejects.toBe(reason);
  expect(performance.now() - aborted).toBeLessThan(1_000);
  await vi.waitFor(() => expect(fake.requests[0]?.closedByClient).toBe(true), { timeout: 1_000 });
  expect(fake.requests).toHaveLength(1);
});

test('an abort ends the wait between two tries', async () => {
  fake.behave({ kind: 'status', status: 503, headers: { 'retry-after': '5' } });
  const controller = new AbortController();
  const completion = model.complete(prompt, { signal: controller.signal });
  await vi.waitFor(() => expect(fake.requests[0]?.endedAt).toBeDefined());
  controller.abort('stopped');
  await expect(completion).rejects.toBe('stopped');
  expect(fake.requests).toHaveLength(1);
});

test('with a signal that is aborted already asks nobody', async () => {
  await expect(model.complete(prompt, { signal: AbortSignal.abort('late') })).rejects.toBe('late');
  expect(fake.requests).toHaveLength(0);
});

test.each(ways)('an empty $way answer is a failure', async ({ stream }) => {
  const { deltas, options } = collect(stream);
  fake.behave([{ kind: 'empty' }, { kind: 'reply', text: ' \n ' }]);
  expect((await failureOf('model_failed', options)).message).toBe('first: the answer is empty');
  expect((await failureOf('model_failed', options)).message).toBe('first: the answer is empty');
  expect(deltas).toEqual([]);
});

test.each(ways)('a malformed $way answer is a failure', async ({ stream }) => {
  fake.behave({ kind: 'malformed-json' });
  const error = await failureOf('model_failed', collect(stream).options);
  expect(error.message).toBe('first: the answer is not valid JSON');
});

test.each([{}, { choices: [] }, { choices: [{}] }, { choices: 'none' }, '[]', 'null', '"no"'])(
  'a body without choices is a failure: %j',
  async (body) => {
    fake.behave({ kind: 'status', status: 200, body });
    const error = await failureOf('model_failed');
    expect(error.message).toBe('first: the answer has no choices');
  },
);

test.each([{ politely: false }, { politely: true }])(
  'a stream cut off half-way is a failure and is not started again (politely: $politely)',
  async ({ politely }) => {
    configure({ models: ['a', 'b'] });
    fake.behave({ kind: 'close-mid-stream', text: 'Once upon a', politely });
    const { deltas, options } = collect(true);
    const error = await failureOf('model_failed', options);
    expect(error.message).toMatch(/^a: the (connection broke off|stream ended) in the middle/);
    expect(deltas.join('')).toBe('Once upon a');
    expect(modelsAsked()).toEqual(['a']);
  },
);

test.each(ways)('an error reported with status 200 is a failure ($way)', async ({ stream }) => {
  const error = { message: 'Upstream overloaded', code: 502 };
  const body = stream ? `data: ${JSON.stringify({ error })}\n\n` : { error };
  const headers = { 'content-type': stream ? 'text/event-stream' : 'application/json' };
  fake.behave({ kind: 'status', status: 200, headers, body });
  const failure = await failureOf('model_failed', collect(stream).options);
  expect(failure.message).toBe('first: the provider reported an error: Upstream overloaded');
});

test.each([
  [401, 'key-of-the-test', 'the provider refused the key; check LLM_API_KEY'],
  [403, 'key-of-the-test', 'the provider refused access; check what LLM_API_KEY may use'],
  [401, undefined, 'the provider wants a key; set LLM_API_KEY'],
])('a refusal %i with key %s says what to check', async (status, apiKey, expected) => {
  configure({ apiKey });
  const body = { error: { message: 'Incorrect API key provided: key-of-the-test' } };
  fake.behave({ kind: 'status', status, body });
  expect((await failureOf('model_failed')).message).toBe(`first: HTTP ${status}: ${expected}`);
});

test.each([
  [{ error: { message: 'The model does\nnot exist' } }, 'HTTP 404: The model does not exist'],
  [{ error: 'model is not loaded' }, 'HTTP 404: model is not loaded'],
  [{ error: { message: `Refused: ${prompt[1]?.content}` } }, 'HTTP 404'],
  [{ error: { message: `Refused near "violet password of"` } }, 'HTTP 404'],
  [{ error: { message: 'Bad key key-of-the-test' } }, 'HTTP 404'],
  [{ error: { message: { deep: secret } } }, 'HTTP 404'],
  [`<html>${secret}</html>`, 'HTTP 404'],
])('gives the reason of a failure where it is safe to: %j', async (body, expected) => {
  fake.behave({ kind: 'status', status: 404, body });
  expect((await failureOf('model_failed')).message).toBe(`first: ${expected}`);
});

test('shortens a long reason', async () => {
  fake.behave({ kind: 'status', status: 404, body: { error: { message: 'x'.repeat(5_000) } } });
  expect((await failureOf('model_failed')).message).toBe(`first: HTTP 404: ${'x'.repeat(160)}…`);
});

test('an address where nobody listens is named', async () => {
  await fake.close();
  const { message } = await failureOf('model_failed');
  expect(message).toBe(
    `first: ${new URL(fake.url).host} cannot be reached (ECONNREFUSED); check the network and LLM_BASE_URL`,
  );
  fake = await startFakeModel();
});
