import { z } from '@hono/zod-openapi';

/** Rows by table. */
export const RowsByTable = z
  .object({
    chat_sessions: z.int(),
    messages: z.int(),
    conversation_summaries: z.int(),
    turns: z.int(),
    embeddings: z.int(),
    users: z.int(),
  })
  .openapi('RowsByTable');

export function sumRows(rows: z.infer<typeof RowsByTable>): number {
  return Object.values(rows).reduce((total, count) => total + count, 0);
}
