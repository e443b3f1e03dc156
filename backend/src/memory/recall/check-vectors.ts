import { setTimeout as sleep } from 'node:timers/promises';
import type { Vectors } from './vectors.ts';

export interface VectorHealth {
  status: 'ok' | 'down';
  vector_store: 'ok' | 'down';
  embeddings: 'ok' | 'down';
}

const PROBE_TIMEOUT_MS = 1_500;

/** Asks both services, at no cost. Never rejects. */
export async function checkVectors({ store, embedder }: Vectors): Promise<VectorHealth> {
  const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  const [vectorStore, embeddings] = await Promise.all([
    statusOf(store.check()),
    statusOf(embedder.check(signal)),
  ]);
  const status = vectorStore === 'ok' && embeddings === 'ok' ? 'ok' : 'down';
  return { status, vector_store: vectorStore, embeddings };
}

async function statusOf(answer: Promise<void>): Promise<'ok' | 'down'> {
  return await Promise.race([
    answer.then(
      () => 'ok' as const,
      () => 'down' as const,
    ),
    sleep(PROBE_TIMEOUT_MS, 'down' as const, { ref: false }),
  ]);
}
