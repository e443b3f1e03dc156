import { APIError } from 'openai';
import type OpenAI from 'openai';
import { z } from 'zod';
import { AppError } from '#src/errors.ts';
import type { Completion } from './model.ts';
import type { AnswerRequest } from './openai-request.ts';

// Servers differ in what they leave out, and in what they put in its place. `cost` is OpenRouter's.
const Text = z.string().optional().catch(undefined);
const Count = z.number().optional().catch(undefined);
const Usage = z
  .object({ prompt_tokens: Count, completion_tokens: Count, cost: Count })
  .optional()
  .catch(undefined);
type Usage = z.infer<typeof Usage>;
const Content = z.object({ content: Text }).optional().catch(undefined);
/** A whole answer has a `message`, a chunk of a stream a `delta`. */
const Body = z
  .object({
    error: z
      .union([z.string(), z.record(z.string(), z.unknown())])
      .optional()
      .catch(undefined),
    choices: z
      .array(z.object({ message: Content, delta: Content, finish_reason: Text }))
      .optional()
      .catch(undefined),
    usage: Usage,
  })
  .catch({});

export type Answer = Omit<Completion, 'model'>;

/** The whole answer at once. Throws the openai client's errors, or `model_failed` for an unusable answer. */
export async function readAnswer(
  client: OpenAI,
  request: AnswerRequest,
  signal: AbortSignal,
): Promise<Answer> {
  const body = Body.parse(await client.chat.completions.create(request, { signal }));
  // OpenRouter reports a failure of the model behind it with status 200.
  if (body.error) throw new APIError(undefined, body.error, undefined, undefined);
  const choice = body.choices?.[0];
  if (choice?.message === undefined) throw unusable('the answer has no choices');
  return toAnswer(choice.message.content ?? '', choice.finish_reason, body.usage);
}

/** The same answer, handed to `onDelta` piece by piece while it comes. White space alone is held back. */
export async function streamAnswer(
  client: OpenAI,
  request: AnswerRequest,
  signal: AbortSignal,
  onDelta: (text: string) => void,
): Promise<Answer> {
  const stream = await client.chat.completions.create(
    { ...request, stream: true, stream_options: { include_usage: true } },
    { signal },
  );
  let text = '';
  let emitted = 0;
  let finishReason: string | undefined;
  let usage: Usage;
  for await (const chunk of stream) {
    const body = Body.parse(chunk);
    const choice = body.choices?.[0];
    text += choice?.delta?.content ?? '';
    finishReason = choice?.finish_reason ?? finishReason;
    usage = body.usage ?? usage;
    if (text.length > emitted && text.trim() !== '') {
      onDelta(text.slice(emitted));
      emitted = text.length;
    }
  }
  // An aborted stream, and one that the provider cuts off politely, ends without an error.
  if (finishReason === undefined) throw unusable('the stream ended in the middle of the answer');
  return toAnswer(text, finishReason, usage);
}

function toAnswer(text: string, finishReason: string | undefined, usage: Usage): Answer {
  if (text.trim() === '') throw unusable('the answer is empty');
  return {
    text,
    finishReason: finishReason === 'length' ? 'length' : 'stop',
    promptTokens: usage?.prompt_tokens,
    completionTokens: usage?.completion_tokens,
    costUsd: usage?.cost,
  };
}

function unusable(reason: string): AppError {
  return new AppError('model_failed', reason);
}
