import { Agent, request } from 'undici';
import { z } from 'zod';
import { AppError } from '#src/errors.ts';
import type { VectorConfig } from '#src/config.ts';

export interface Embedder {
  /** The configured model's name. */
  readonly model: string;
  /**
   * One vector a text, in their order, all of one length; what a text has beyond `LONGEST_TEXT` is
   * left out. Rejects with `AppError` `model_failed`, `isPermanent` where the texts themselves are
   * refused. `model`: another than the configured one.
   */
  embed(texts: string[], signal: AbortSignal, model?: string): Promise<number[][]>;
  /** Rejects where the server does not answer. Costs nothing. */
  check(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** In characters: about what the smallest usual models take. */
const LONGEST_TEXT = 4_000;

const Answer = z.object({
  data: z.array(z.object({ index: z.int(), embedding: z.array(z.number()).min(1) })),
});

/** Embeddings from any OpenAI-compatible server. Who calls tries again, so nothing is repeated here. */
export function createEmbedder(config: VectorConfig['embeddings']): Embedder {
  const pool = new Agent({ keepAliveTimeout: 30_000, allowH2: false });
  const baseUrl = config.baseUrl.replace(/\/$/, '');
  const headers = {
    'content-type': 'application/json',
    ...(config.apiKey === undefined ? {} : { authorization: `Bearer ${config.apiKey}` }),
  };
  return {
    model: config.model,
    close: () => pool.destroy(),
    async embed(texts, signal, model = config.model) {
      const input = texts.map((text) => text.slice(0, LONGEST_TEXT));
      const body = JSON.stringify({ model, input, encoding_format: 'float' });
      const options = { method: 'POST' as const, headers, body, signal, dispatcher: pool };
      const answer = await request(`${baseUrl}/embeddings`, options).catch(unreachable(signal));
      if (answer.statusCode !== 200) {
        await answer.body.dump();
        throw refusal(answer.statusCode);
      }
      try {
        return readVectors(await answer.body.json(), texts.length);
      } catch (cause) {
        throw failure(signal.aborted ? late : 'the answer is not what the protocol says', cause);
      }
    },
    async check(signal) {
      const options = { headers, signal, dispatcher: pool };
      const answer = await request(`${baseUrl}/models`, options).catch(unreachable(signal));
      await answer.body.dump();
      // Not all servers list their models, but they answer.
      if (answer.statusCode >= 400 && ![404, 405].includes(answer.statusCode)) {
        throw refusal(answer.statusCode);
      }
    },
  };
}

function readVectors(body: unknown, expected: number): number[][] {
  const vectors = Answer.parse(body).data.toSorted((a, b) => a.index - b.index);
  const dimension = vectors[0]?.embedding.length;
  if (
    vectors.length !== expected ||
    vectors.some(({ index, embedding }, place) => index !== place || embedding.length !== dimension)
  ) {
    throw new Error('not one vector of one dimension for each text');
  }
  return vectors.map(({ embedding }) => embedding);
}

const late = 'not done in time';

function unreachable(signal: AbortSignal) {
  return (cause: unknown): never => {
    throw failure(
      signal.aborted ? late : 'the server cannot be reached; check EMBEDDINGS_BASE_URL',
      cause,
    );
  };
}

/** What the server said besides may hold somebody's text. */
function refusal(status: number): AppError {
  const check = status === 401 || status === 403 ? '; check EMBEDDINGS_API_KEY' : '';
  return new AppError('model_failed', `embeddings: HTTP ${status}${check}`, {
    isPermanent: [400, 413, 422].includes(status),
  });
}

function failure(reason: string, cause: unknown): AppError {
  return new AppError('model_failed', `embeddings: ${reason}`, { cause });
}
