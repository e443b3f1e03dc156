import { DatabaseError } from 'pg';
import type { Pool } from 'pg';
import { AppError } from '#src/errors.ts';
import { createBatcher } from './batcher.ts';
import type { Batchable } from './batcher.ts';
import type { Memory, RecallScope } from './memory.ts';
import { retryOnLockConflict } from './retry-on-lock-conflict.ts';

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

/** The statements of a process's turns. */
export interface TurnStatements {
  /**
   * The turn's first round trip: stores the message and, where its place has come, reads the memory.
   * Rejects with `rate_limited` or `budget_exhausted`; then nothing was stored.
   */
  open: (turn: NewTurn) => Promise<OpenedTurn>;
  /** Claims a turn that waited or lost its process; with `retry` also one that failed. */
  begin: (turnId: string, retry: boolean) => Promise<BegunTurn>;
  /** The turn's second round trip. Returns the reply's message id; undefined where the claim was lost. */
  finish: (turn: FinishedTurn) => Promise<string | undefined>;
  /** Turns that wait to be opened or finished. */
  countWaiting: () => number;
}

/** Turns that are opened at the same moment go out together, and so do those that are finished. */
export function createTurnStatements(pool: Pool, limits: TurnLimits): TurnStatements {
  const call = <Result>(name: string, values: unknown[]) =>
    callFunction<Result>(pool, name, values);
  // Turns that go together lock chats in any order, and PostgreSQL may end whichever it likes.
  const callAlone = <Result>(name: string, values: unknown[]) =>
    retryOnLockConflict(() => call<Result>(name, values));
  const opening: Batchable<NewTurn, OpenedTurn> = {
    one: (turn) => callAlone('open_turn', toOpen(turn, limits)),
    many: (turns) =>
      call('open_turns', [JSON.stringify(turns.map((turn) => toOpen(turn, limits)))]),
    isUndone,
  };
  // A search takes longer than what turns would share; side by side they are sooner done.
  const open =
    limits.recall === undefined
      ? createBatcher(opening)
      : { send: opening.one, countWaiting: () => 0 };
  const finish = createBatcher<FinishedTurn, string | null>({
    one: (turn) => callAlone('store_reply', toFinish(turn, limits)),
    many: (turns) =>
      call('store_replies', [JSON.stringify(turns.map((turn) => toFinish(turn, limits)))]),
    isUndone,
  });
  return {
    open: (turn) =>
      open.send(turn).catch((error: unknown) => {
        throw asRefusal(error) ?? error;
      }),
    begin: (turnId, retry) => callAlone('begin_turn', [turnId, retry, ...toRead(limits, true)]),
    finish: async (turn) => (await finish.send(turn)) ?? undefined,
    countWaiting: () => open.countWaiting() + finish.countWaiting(),
  };
}

/** Prepared under its name: a connection parses it once. */
async function callFunction<Result>(pool: Pool, name: string, values: unknown[]): Promise<Result> {
  const places = values.map((_, index) => `$${index + 1}`).join(', ');
  const text = `select ${name}(${places}) as result`;
  const { rows } = await pool.query<{ result: Result }>({ name, text, values });
  const [row] = rows;
  if (row === undefined) throw new Error(`${name} returned no row`);
  return row.result;
}

/**
 * SQLSTATE classes that only a statement can fail with, and nothing of it remains: data, constraints,
 * transactions, schema, locks, a cancel, a raised exception, our own refusals. Not by severity: that
 * comes in the server's language.
 */
const undoneCodes = /^(22...|23...|40...|42...|55...|57014|P0...|LB...)$/;

/** Any other failure (of the connection, the server, its disk) leaves open whether the batch was stored. */
function isUndone(error: unknown): boolean {
  return error instanceof DatabaseError && undoneCodes.test(error.code ?? '');
}

/** In the order of open_turn's parameters, as JSON has them too. */
function toOpen(turn: NewTurn, limits: TurnLimits): unknown[] {
  return [
    turn.chatId,
    turn.userId,
    turn.channel,
    turn.clientMessageId,
    turn.requestHash && `\\x${turn.requestHash.toString('hex')}`,
    turn.text,
    turn.tokens,
    ...toRead(limits, turn.listed),
  ];
}

/** What open_turn and begin_turn have in common. */
function toRead(limits: TurnLimits, listed: boolean): unknown[] {
  return [
    lease,
    limits.shortHistoryLimit,
    limits.contextTokenBudget,
    toLimits(limits, listed),
    limits.recall,
  ];
}

/** In the order of store_reply's parameters. */
function toFinish(turn: FinishedTurn, limits: TurnLimits): unknown[] {
  return [
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
    turn.context,
    turn.spentTokens,
    toLimits(limits, true),
  ];
}

function toLimits(limits: TurnLimits, listed: boolean): object {
  return {
    access: limits.access,
    listed,
    rate: limits.ratePerMinute,
    chat_rate: limits.chatRatePerMinute,
    budget: limits.dailyTokenBudget,
    fixed_tokens: limits.fixedTokens,
    recall: limits.recall !== undefined,
  };
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
