import type { PromptMessage } from './model.ts';
import { isOpenAi, isOpenRouter } from './openai-connection.ts';

export interface AnswerRequest {
  model: string;
  messages: { role: PromptMessage['role']; content: string }[];
  max_tokens?: number;
  /** What OpenAI itself calls it; others know the older name only. */
  max_completion_tokens?: number;
  /** OpenRouter's own: adds the cost to the usage. */
  usage?: { include: true };
  stream?: true;
  stream_options?: { include_usage: true };
}

/** The body of a request, without what only a stream needs. */
export type ToRequest = (
  model: string,
  prompt: PromptMessage[],
  maxTokens: number | undefined,
) => AnswerRequest;

/** As the server at `baseUrl` wants its requests. */
export function requestsFor(baseUrl: string): ToRequest {
  // OpenAI's newer models refuse the name that every other server knows.
  const limit = isOpenAi(baseUrl) ? 'max_completion_tokens' : 'max_tokens';
  const extra = isOpenRouter(baseUrl) ? { usage: { include: true as const } } : {};
  return (model, prompt, maxTokens) => ({
    model,
    messages: toMessages(prompt),
    ...(maxTokens === undefined ? {} : { [limit]: maxTokens }),
    ...extra,
  });
}

/**
 * Leading system messages become one: the chat templates of vLLM and llama.cpp refuse a second.
 * What was recalled goes in front of the user's message: they refuse a later system message too, and
 * others want user and assistant to alternate.
 */
function toMessages(prompt: PromptMessage[]): AnswerRequest['messages'] {
  const firstOther = prompt.findIndex(({ part, role }) => role !== 'system' || part === 'recalled');
  const leading = firstOther === -1 ? prompt : prompt.slice(0, firstOther);
  const rest = prompt.slice(leading.length).flatMap(({ part, role, content }, index, parts) => {
    if (part === 'recalled') return [];
    const before = parts[index - 1];
    return {
      role,
      content: before?.part === 'recalled' ? `${before.content}\n${content}` : content,
    };
  });
  if (leading.length === 0) return rest;
  const content = leading.map((message) => message.content).join('\n\n');
  return [{ role: 'system', content }, ...rest];
}
