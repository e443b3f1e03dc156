import { estimateTokenCount } from 'tokenx';

/** What a message costs in a prompt beyond its text: its role and separators. The database's read_memory counts the same. */
export const MESSAGE_OVERHEAD_TOKENS = 4;

/** Estimated tokens of a text. Models differ, so an estimate with a known overhead serves all of them. */
export function countTokens(text: string): number {
  return estimateTokenCount(text);
}
