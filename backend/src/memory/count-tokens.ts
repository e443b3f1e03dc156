import { estimateTokenCount } from 'tokenx';

/** What a message costs in a prompt beyond its text: its role and separators. The database's read_memory counts the same. */
export const MESSAGE_OVERHEAD_TOKENS = 4;

/** A text with its estimated tokens: counting costs as much as most of what is done with it. */
export interface CountedText {
  content: string;
  tokens: number;
}

export function countText(content: string): CountedText {
  return { content, tokens: countTokens(content) };
}

/** Estimated tokens of a text. Models differ, so an estimate with a known overhead serves all of them. */
export function countTokens(text: string): number {
  return estimateTokenCount(text);
}
