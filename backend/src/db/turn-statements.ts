import { DatabaseError } from 'pg';
import type { Pool } from 'pg';
import { AppError } from '#src/errors.ts';
import type { Memory, RecallScope } from './memory.ts';

/**
 * How long a claim on a turn lasts without being renewed. A process that dies leaves its turns
 * for others to take over after this time.
 */
export const LEASE_SECONDS = 15;

const lease = `${LEASE_SECONDS} seconds`;

/** What a turn reads and may cost. */
export interface TurnLimits {
  /** The window holds at least this many messages, where the session has them. */
  shortHistoryLimit: number;
  /** Estimated tokens. */
  contextTokenBudget: number;
  /** Who may speak; whether this user or chat is `listed` is asked for each message. */
  access: 'open' | 'allowlist' | 'pairing';
  /** Messages of one user; 0 is no limit. */
  ratePerMinute: number;
  /** Messages of one chat, whoever writes; 0 is no limit. */
  chatRatePerMinute: number;
  /** Estimated tokens of one user, counted by UTC day; 0 is no limit. */
  dailyTokenBudget: number;
  /** What is reserved for a turn beside its memory and message: the instruction and the longest reply. */
  fixedTokens: number;
  /** Where the turn searches its memories, and how many it takes at most; undefined: it does not. */
  recall: { scope: RecallScope; limit: number } | undefined;
}

export interface NewTurn {
  chatId: string;
  userId: string;
  channel: string;
  clientMessageId: string | undefined;
  /** Tells whether a repeat of the client message id is the same message. */
  requestHash: Buffer | undefined;
  text: string;
  tokens: number;
  /** The user or the chat stands in the allowlist. */
  listed: boolean;
}

/** A turn that this process may answer. `attempt` fences: an older attempt can no longer store anything. */
export interface Claim {
  turn_id: string;
  session_id: string;
  user_id: string;
  attempt: number;
  /** The user's message, its newest in the session. */
  message_id: string;
  memory: Memory;
}

export type OpenedTurn =
  | ({ outcome: 'begun' } & Claim)
  /** Durably stored, behind an unfinished turn of the same chat. */
  | { outcome: 'waiting'; turn_id: string; session_id: string }
  /** Stored for good; an operator holds the chat, so nobody answers. */
  | {
      outcome: 'silenced';
      turn_id: string;
      session_id: string;
      /** The session's counter; the turn's own message is in it. */
      messages_since_summary: number;
    }
  /** The client message id has a turn already. */
  | { outcome: 'known'; turn_id: string }
  /** The user may not speak; `pairing_code` is what an operator approves. */
  | { outcome: 'refused'; pairing_code: string | null };

export type BegunTurn =
  /** `text`: the user's message as it stands now. */
  | ({ outcome: 'begun'; text: string } & Claim)
  /** Another turn of the chat comes first, or another process answers this one. */
  | { outcome: 'waiting' }
  | { outcome: 'ended' };

export interface FinishedTurn {
  turnId: string;
  sessionId: string;
  attempt: number;
  reply: string;
  tokens: number;
  /** When the outbox offers the reply, where its caller does not deliver it; 0 is now. */
  offerAfterSeconds: number;
  model: string;
  finishReason: 'stop' | 'length' | 'cancelled';
  promptTokens: number | undefined;
  completionTokens: number | undefined;
  costUsd: number | undefined;
  latencyMs: number;
  context: object;
  /** Prompt and reply, counted or estimated. */
  spentTokens: number;
}

/**
 * The turn's first round trip: stores the message and, where its place has come, reads the memory.
 * Rejects with `rate_limited` or `budget_exhausted`; then nothing was stored.
 */
export async function openTurn(pool: Pool, turn: NewTurn, limits: TurnLimits): Promise<OpenedTurn> {
  const statement = {
    name: 'open_turn',
    text: 'select open_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) as turn',
    values: [
      turn.chatId,
      turn.userId,
      turn.channel,
      turn.clientMessageId,
      turn.requestHash,
      turn.text,
      turn.tokens,
      lease,
      limits.shortHistoryLimit,
      limits.contextTokenBudget,
      limitsAsJson(limits, turn.listed),
      recallAsJson(limits),
    ],
  };
  try {
    const { rows } = await pool.query<{ turn: OpenedTurn }>(statement);
    return onlyRow(rows).turn;
  } catch (error) {
    throw asRefusal(error) ?? error;
  }
}

/** Claims a turn that waited or lost its process; with `retry` also one that failed. */
export async function beginTurn(
  pool: Pool,
  turnId: string,
  retry: boolean,
  limits: TurnLimits,
): Promise<BegunTurn> {
  const { rows } = await pool.query<{ turn: BegunTurn }>({
    name: 'begin_turn',
    text: 'select begin_turn($1, $2, $3, $4, $5, $6, $7) as turn',
    values: [
      turnId,
      retry,
      lease,
      limits.shortHistoryLimit,
      limits.contextTokenBudget,
      limitsAsJson(limits, true),
      recallAsJson(limits),
    ],
  });
  return onlyRow(rows).turn;
}

/** The turn's second round trip. Returns the reply's message id; undefined where the claim was lost. */
export async function finishTurn(
  pool: Pool,
  turn: FinishedTurn,
  limits: TurnLimits,
): Promise<string | undefined> {
  const { rows } = await pool.query<{ id: string | null }>({
    name: 'finish_turn',
    text: 'select finish_turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) as id',
    values: [
      turn.turnId,
      turn.sessionId,
      turn.attempt,
      turn.reply,
      turn.tokens,
      `${turn.offerAfterSeconds} seconds`,
      turn.model,
      turn.finishReason,
      turn.promptTokens,
      turn.completionTokens,
      turn.costUsd,
      turn.latencyMs,
      JSON.stringify(turn.context),
      turn.spentTokens,
      limitsAsJson(limits, true),
    ],
  });
  return onlyRow(rows).id ?? undefined;
}

function limitsAsJson(limits: TurnLimits, listed: boolean): string {
  return JSON.stringify({
    access: limits.access,
    listed,
    rate: limits.ratePerMinute,
    chat_rate: limits.chatRatePerMinute,
    budget: limits.dailyTokenBudget,
    fixed_tokens: limits.fixedTokens,
  });
}

function recallAsJson({ recall }: TurnLimits): string | undefined {
  return recall && JSON.stringify({ scope: recall.scope, limit: recall.limit });
}

/** open_turn raises its refusals, so that nothing of the turn remains. */
function asRefusal(error: unknown): AppError | undefined {
  if (!(error instanceof DatabaseError) || error.code !== 'LB001') return undefined;
  if (error.message === 'rate_limited') {
    return new AppError('rate_limited', 'Too many messages in a minute.', {
      retryAfterSeconds: Number(error.detail),
    });
  }
  return budgetExhausted();
}

/** The budget is the user's for a UTC day. */
export function budgetExhausted(): AppError {
  return new AppError('budget_exhausted', 'The token budget of the day is used up.', {
    retryAfterSeconds: secondsUntilTomorrow(),
  });
}

function secondsUntilTomorrow(): number {
  const day = 24 * 60 * 60;
  return Math.ceil(day - ((Date.now() / 1_000) % day));
}

function onlyRow<Row>(rows: Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error('a turn statement returned no row');
  return row;
}
