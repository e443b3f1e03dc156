import type { Completion } from '#src/clients/model.ts';
import type { SourceMessage } from '#src/db/summaries.ts';
import { AppError } from '#src/errors.ts';
import { countTokens } from './count-tokens.ts';
import type { Summaries } from './summaries.ts';
import { buildSummaryPrompt } from './summary-prompt.ts';

/**
 * Lets the model write the summary that replaces `previous` and covers `messages`. Rejects with
 * the model's failures, and with `model_failed` where what it wrote cannot be a summary.
 */
export async function writeSummary(
  { model, settings }: Pick<Summaries, 'model' | 'settings'>,
  previous: string | undefined,
  messages: SourceMessage[],
  signal: AbortSignal,
): Promise<string> {
  const completion = await model.complete(buildSummaryPrompt(previous, messages, settings), {
    signal,
    maxTokens: settings.maxTokens,
  });
  const sourceLength = messages.reduce(
    (sum, { content }) => sum + content.length,
    previous?.length ?? 0,
  );
  const summary = completion.text.replaceAll('\0', '').toWellFormed().trim();
  const problem = findProblem(summary, completion.finishReason, sourceLength, settings.maxTokens);
  if (problem !== undefined) {
    throw new AppError(
      'model_failed',
      `${completion.model}: refused its summary, which ${problem}`,
    );
  }
  return summary;
}

/** A refusal ("I can't help with that") is shorter than any summary of a real conversation. */
const SHORTEST_CHARACTERS = 40;
const SHORTEST_SHARE = 1 / 20;
/** Servers that ignore the limit exist; so do scripts in which our estimate is far off. */
const LONGEST_FACTOR = 4;

function findProblem(
  summary: string,
  finishReason: Completion['finishReason'],
  sourceLength: number,
  maxTokens: number,
): string | undefined {
  if (!/[\p{L}\p{N}]/u.test(summary)) return 'is empty';
  if (finishReason === 'length') {
    return `is cut off at ${maxTokens} tokens (SUMMARY_MAX_TOKENS, at most a quarter of CONTEXT_TOKEN_BUDGET)`;
  }
  if (summary.length < Math.min(SHORTEST_CHARACTERS, sourceLength * SHORTEST_SHARE)) {
    return `has ${summary.length} characters for ${sourceLength}`;
  }
  const tokens = countTokens(summary);
  return tokens > maxTokens * LONGEST_FACTOR ? `has about ${tokens} tokens` : undefined;
}

/** The first of the messages, as many as one version takes; always one. */
export function takeWithin(messages: SourceMessage[], tokenLimit: number): SourceMessage[] {
  let left = tokenLimit;
  const cut = messages.findIndex((message) => {
    left -= message.tokens ?? countTokens(message.content);
    return left < 0;
  });
  return cut === -1 ? messages : messages.slice(0, Math.max(1, cut));
}
