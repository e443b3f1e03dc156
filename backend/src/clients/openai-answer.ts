import { createParser } from 'eventsource-parser';
import { z } from 'zod';
import { AppError } from '#src/errors.ts';
import type { Completion } from './model.ts';
import { ProviderError } from './openai-connection.ts';
import type { AnswerBody, Connection, Limits } from './openai-connection.ts';
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
const Body = z.compile(
  z
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
    .catch({}),
);

export type Answer = Omit<Completion, 'model'>;

/** The whole answer at once. Throws the connection's errors, or `model_failed` for an unusable answer. */
export async function readAnswer(
  connection: Connection,
  request: AnswerRequest,
  limits: Limits,
): Promise<Answer> {
  const body = parseBody(await connection.ask(request, limits));
  const choice = body.choices?.[0];
  if (choice?.message === undefined) throw unusable('the answer has no choices');
  return toAnswer(choice.message.content ?? '', choice.finish_reason, body.usage);
}

/** The same answer, handed to `onDelta` piece by piece while it comes. White space alone is held back. */
export async function streamAnswer(
  connection: Connection,
  request: AnswerRequest,
  limits: Limits,
  onDelta: (text: string) => void,
): Promise<Answer> {
  const stream = { stream: true, stream_options: { include_usage: true } } as const;
  const answer = await connection.askForStream({ ...request, ...stream }, limits);
  let text = '';
  let emitted = 0;
  let finishReason: string | undefined;
  let usage: Usage;
  for await (const data of readEvents(answer)) {
    if (data === '[DONE]') break;
    const body = parseBody(data);
    const choice = body.choices?.[0];
    text += choice?.delta?.content ?? '';
    finishReason = choice?.finish_reason ?? finishReason;
    usage = body.usage ?? usage;
    if (text.length > emitted && text.trim() !== '') {
      onDelta(text.slice(emitted));
      emitted = text.length;
    }
  }
  // A stream that the provider cuts off politely ends without an error.
  if (finishReason === undefined) throw unusable('the stream ended in the middle of the answer');
  return toAnswer(text, finishReason, usage);
}

/** OpenRouter reports a failure of the model behind it with status 200, and in a stream there is no other way. */
function parseBody(text: string): z.infer<typeof Body> {
  const body = Body.parse(JSON.parse(text));
  if (body.error) throw new ProviderError(body.error);
  return body;
}

async function* readEvents(body: AnswerBody): AsyncGenerator<string> {
  const read: string[] = [];
  const parser = createParser({ onEvent: ({ data }) => read.push(data) });
  for await (const chunk of body.setEncoding('utf8')) {
    parser.feed(String(chunk));
    yield* read.splice(0);
  }
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
