import type { RecalledMemory } from '#src/db/memory.ts';
import type { Claim } from '#src/db/turn-statements.ts';
import { fuse } from './fuse.ts';
import type { VectorSearch } from './vector-search.ts';

/**
 * What a turn recalls. By words it came with its claim; where there are vectors, those are asked now,
 * and both are fused. `notes` says what failed, and then the words alone count.
 */
export async function recallForTurn(
  vectors: VectorSearch | undefined,
  { chatId, text, ...claim }: Claim & { chatId: string; text: string },
): Promise<{ recalled: RecalledMemory[]; notes: string[] }> {
  const byWords = claim.memory.recalled;
  if (vectors === undefined) return { recalled: byWords, notes: [] };
  const { scope, limit } = vectors.ofTurn;
  const { hits, failure } = await vectors.find({
    text,
    chatId,
    scope,
    userId: claim.user_id,
    sessionId: claim.session_id,
    windowFrom: claim.memory.window[0]?.id ?? claim.message_id,
  });
  if (failure !== undefined) return { recalled: byWords.slice(0, limit), notes: [failure] };
  return { recalled: fuse([byWords, hits], limit), notes: [] };
}
