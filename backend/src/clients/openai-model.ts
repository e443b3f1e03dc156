import type { AppError } from '#src/errors.ts';
import { startDeadline } from './deadline.ts';
import type { ClosableModel, CompleteOptions, Completion, PromptMessage } from './model.ts';
import { readAnswer, streamAnswer } from './openai-answer.ts';
import { openConnection } from './openai-connection.ts';
import type { Connection, OpenAiConfig } from './openai-connection.ts';
import { describeFailure, describeTimeout, joinFailures } from './openai-failure.ts';
import { requestsFor } from './openai-request.ts';
import type { ToRequest } from './openai-request.ts';

interface Provider {
  config: OpenAiConfig;
  connection: Connection;
  toRequest: ToRequest;
}

/**
 * A model behind any OpenAI-compatible server. Its models are tried in order, each with its retries,
 * all of it within one `timeoutMs`. Once a delta was handed out, the text is never started again.
 */
export function createOpenAiModel(config: OpenAiConfig): ClosableModel {
  const connection = openConnection(config);
  const provider = { config, connection, toRequest: requestsFor(config.baseUrl) };
  return {
    name: config.models[0],
    complete: (prompt, options) => completeWithFallbacks(provider, prompt, options),
    close: connection.close,
  };
}

async function completeWithFallbacks(
  provider: Provider,
  prompt: PromptMessage[],
  options: CompleteOptions,
): Promise<Completion> {
  const { config } = provider;
  const end = performance.now() + config.timeoutMs;
  const failures: AppError[] = [];
  for (const [index, model] of config.models.entries()) {
    // An equal share of the time left, so that a model that hangs leaves time for its fallbacks.
    const now = performance.now();
    const shareEnd = now + (end - now) / (config.models.length - index);
    const outcome = await attempt(provider, prompt, options, { model, shareEnd, end });
    if ('completion' in outcome) return outcome.completion;
    failures.push(outcome.failure);
    if (outcome.started) break;
  }
  throw joinFailures(failures);
}

/** `started`: some of the text was handed out already. */
type Outcome = { completion: Completion } | { failure: AppError; started: boolean };

/** One model with its retries, until `shareEnd`, or until `end` from the first delta on. Rejects only with the caller's abort. */
async function attempt(
  { config, connection, toRequest }: Provider,
  prompt: PromptMessage[],
  { signal, onDelta, maxTokens }: CompleteOptions,
  { model, shareEnd, end }: { model: string; shareEnd: number; end: number },
): Promise<Outcome> {
  signal.throwIfAborted();
  const deadline = startDeadline(shareEnd, signal);
  const limits = { signal: deadline.signal, deadline: shareEnd };
  const request = toRequest(model, prompt, maxTokens);
  let started = false;
  const emit = (text: string) => {
    if (!started) deadline.extendTo(end);
    started = true;
    onDelta?.(text);
  };
  try {
    const answer =
      onDelta === undefined
        ? await readAnswer(connection, request, limits)
        : await streamAnswer(connection, request, limits, emit);
    signal.throwIfAborted();
    return { completion: { ...answer, model } };
  } catch (error) {
    signal.throwIfAborted();
    const failure = deadline.signal.aborted
      ? describeTimeout(model, config.timeoutMs, error)
      : describeFailure(error, model, prompt, config);
    return { failure, started };
  } finally {
    deadline.stop();
  }
}
