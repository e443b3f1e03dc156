import type { RecalledMemory } from '#src/db/memory.ts';

/** What went into a prompt and what did not: stored with the turn. All counts are estimated tokens. */
export interface ContextLog {
  instruction: { tokens: number };
  summary: { id: string; version: number; last_message_id: string; tokens: number } | null;
  window: {
    first_message_id: string | null;
    last_message_id: string | null;
    messages: number;
    tokens: number;
  };
  /** In the order of the prompt: by time. */
  recalled: (Omit<RecalledMemory, 'content'> & { tokens: number })[];
  message: { tokens: number };
  left_out: LeftOut;
  prompt_tokens_estimated: number;
  token_budget: number;
  /** What was missing or degraded, as short codes. */
  notes: string[];
}

interface LeftOut {
  /** Messages that neither the summary nor the window holds, because the budget was too small. */
  messages: number;
  /** Messages of turns that failed or were stopped before any answer. */
  unanswered_messages: number;
  memories: number;
}

/** A context log as `turns.context` keeps it: in few bytes, without what is empty. */
export interface StoredContextLog {
  summary?: { id: string; version: number; last_message_id: string };
  window?: { first: string; last: string; messages: number };
  recalled?: ContextLog['recalled'];
  left_out?: LeftOut;
  notes?: string[];
  tokens: {
    instruction: number;
    summary?: number;
    window?: number;
    message: number;
    /** The whole prompt, estimated. */
    prompt: number;
    budget: number;
  };
}

/** The reverse of `unpackContextLog`. */
export function packContextLog(log: ContextLog): StoredContextLog {
  const { summary, window, recalled, left_out: left, notes } = log;
  const { first_message_id: first, last_message_id: last, messages } = window;
  return {
    ...(summary && {
      summary: {
        id: summary.id,
        version: summary.version,
        last_message_id: summary.last_message_id,
      },
    }),
    ...(first !== null && last !== null && { window: { first, last, messages } }),
    ...(recalled.length > 0 && { recalled }),
    ...(left.messages + left.unanswered_messages + left.memories > 0 && { left_out: left }),
    ...(notes.length > 0 && { notes }),
    tokens: {
      instruction: log.instruction.tokens,
      ...(summary && { summary: summary.tokens }),
      ...(window.tokens > 0 && { window: window.tokens }),
      message: log.message.tokens,
      prompt: log.prompt_tokens_estimated,
      budget: log.token_budget,
    },
  };
}

/** undefined where the turn ended before it had a prompt. */
export function unpackContextLog(stored: Partial<StoredContextLog> | null): ContextLog | undefined {
  if (stored?.tokens === undefined) return undefined;
  const { summary, window, recalled, left_out, notes, tokens } = stored;
  return {
    instruction: { tokens: tokens.instruction },
    summary: summary === undefined ? null : { ...summary, tokens: tokens.summary ?? 0 },
    window: {
      first_message_id: window?.first ?? null,
      last_message_id: window?.last ?? null,
      messages: window?.messages ?? 0,
      tokens: tokens.window ?? 0,
    },
    recalled: recalled ?? [],
    message: { tokens: tokens.message },
    left_out: left_out ?? { messages: 0, unanswered_messages: 0, memories: 0 },
    prompt_tokens_estimated: tokens.prompt,
    token_budget: tokens.budget,
    notes: notes ?? [],
  };
}
