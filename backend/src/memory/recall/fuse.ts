import type { RecalledMemory } from '#src/db/memory.ts';

/** As in the paper on reciprocal rank fusion: how much the first ranks are worth above the later ones. */
const K = 60;

/** How many times more of a ranking go in than come out: what two of them know stands further down, too. */
export const FUSED_FROM = 3;

/**
 * One ranking of several, by their reciprocal ranks: the scores of words and of vectors cannot be
 * compared, their orders can. A memory that is first in all of them scores 1.
 */
export function fuse(rankings: RecalledMemory[][], limit: number): RecalledMemory[] {
  const fused = new Map<string, RecalledMemory>();
  for (const [place, memory] of rankings.flatMap((ranking) => [...ranking.entries()])) {
    const before = fused.get(memory.memory_id)?.score ?? 0;
    const score = before + (K + 1) / (K + 1 + place) / rankings.length;
    fused.set(memory.memory_id, { ...memory, score });
  }
  return [...fused.values()]
    .sort((a, b) => b.score - a.score)
    .slice(0, limit)
    .map((memory) => ({ ...memory, score: Math.round(memory.score * 1_000) / 1_000 }));
}
