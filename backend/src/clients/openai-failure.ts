import { AppError } from '#src/errors.ts';
import type { PromptMessage } from './model.ts';
import { isOpenRouter, ProviderError, UnreachableError } from './openai-connection.ts';
import type { OpenAiConfig } from './openai-connection.ts';

/** The request itself or the key is refused. */
const permanentStatuses = new Set([400, 401, 403, 404, 413, 422]);

/** `model_failed` with one line that may be shown to anybody; the provider's own error is the cause. */
export function describeFailure(
  error: unknown,
  model: string,
  prompt: PromptMessage[],
  config: OpenAiConfig,
): AppError {
  const refusal = error instanceof ProviderError ? error : undefined;
  const wait = refusal?.retryAfterSeconds;
  return new AppError('model_failed', `${model}: ${reasonOf(error, prompt, config)}`, {
    cause: error,
    isPermanent: permanentStatuses.has(refusal?.status ?? 0),
    retryAfterSeconds: wait === undefined ? undefined : Math.ceil(wait),
  });
}

/** `timeoutMs` is the time of the whole call, of which a model with fallbacks has a share. */
export function describeTimeout(model: string, timeoutMs: number, cause: unknown): AppError {
  const message = `${model}: no whole answer in its time (LLM_TIMEOUT_MS is ${timeoutMs})`;
  return new AppError('model_timeout', message, { cause });
}

/** One error for all models that were tried, with the code of the last one's. */
export function joinFailures(failures: AppError[]): AppError {
  const last = failures.at(-1);
  if (last === undefined) throw new Error('There is no failure to report');
  if (failures.length === 1) return last;
  const waits = failures.flatMap((failure) => failure.details.retryAfterSeconds ?? []);
  return new AppError(last.code, failures.map((failure) => failure.message).join('; '), {
    cause: new AggregateError(failures),
    retryAfterSeconds: waits.length > 0 ? Math.min(...waits) : undefined,
    isPermanent: failures.every((failure) => failure.details.isPermanent),
  });
}

function reasonOf(error: unknown, prompt: PromptMessage[], config: OpenAiConfig): string {
  if (error instanceof AppError) return error.message;
  if (error instanceof SyntaxError) return 'the answer is not valid JSON';
  if (error instanceof UnreachableError) {
    return `${new URL(config.baseUrl).host} cannot be reached${networkCode(error)}; check the network and LLM_BASE_URL`;
  }
  if (!(error instanceof ProviderError)) {
    return `the connection broke off in the middle of the answer${networkCode(error)}`;
  }
  if (error.status === 401 || error.status === 403) return authReason(error.status, config);
  const head =
    error.status === undefined ? 'the provider reported an error' : `HTTP ${error.status}`;
  const words = providerWords(error, prompt, config);
  return words === undefined ? head : `${head}: ${words}`;
}

function authReason(status: number, config: OpenAiConfig): string {
  const variable = isOpenRouter(config.baseUrl)
    ? 'OPENROUTER_API_KEY (or LLM_API_KEY, where LLM_BASE_URL is set)'
    : 'LLM_API_KEY';
  if (config.apiKey === undefined)
    return `HTTP ${status}: the provider wants a key; set ${variable}`;
  if (status === 401) return `HTTP 401: the provider refused the key; check ${variable}`;
  return `HTTP 403: the provider refused access; check what ${variable} may use`;
}

const longestReason = 160;

/** The provider's short reason on one line; `undefined` where it repeats the prompt or a key. */
function providerWords(
  { said }: ProviderError,
  prompt: PromptMessage[],
  { apiKey }: OpenAiConfig,
): string | undefined {
  const message = typeof said === 'string' ? said : fieldOf(said, 'message');
  if (message === undefined) return undefined;
  const line = message.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
  const words = line.length > longestReason ? `${line.slice(0, longestReason)}…` : line;
  const repeatsKey = /\bsk-|bearer /i.test(line) || (apiKey !== undefined && line.includes(apiKey));
  const unsafe = repeatsKey || prompt.some(({ content }) => repeats(words, content));
  return unsafe || words === '' ? undefined : words;
}

/** Whether `line` holds any 12 characters in a row of `content`, or all of a shorter one. */
function repeats(line: string, content: string): boolean {
  const text = content.replaceAll(/\s+/g, ' ').trim();
  if (text.length < 12) return text.length > 3 && line.includes(text);
  for (let start = 0; start + 12 <= line.length; start += 1) {
    if (text.includes(line.slice(start, start + 12))) return true;
  }
  return false;
}

/** ` (ECONNREFUSED)`, from wherever in the chain of causes the code stands. */
function networkCode(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = fieldOf(cause, 'code');
    if (code !== undefined) return ` (${code})`;
  }
  return '';
}

function fieldOf(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const field: unknown = Reflect.get(value, name);
  return typeof field === 'string' ? field : undefined;
}
