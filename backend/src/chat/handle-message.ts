import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Completion, PromptMessage } from '#src/clients/model.ts';
import { beginTurn, budgetExhausted, finishTurn, openTurn } from '#src/db/turn-statements.ts';
import type { BegunTurn, Claim, FinishedTurn } from '#src/db/turn-statements.ts';
import { endTurn, findTurn, releaseLeases } from '#src/db/turns.ts';
import type { StoredTurn } from '#src/db/turns.ts';
import { AppError, asAppError, isErrorCode } from '#src/errors.ts';
import { assembleContext } from '#src/memory/assemble-context.ts';
import type { ContextLog } from '#src/memory/assemble-context.ts';
import { countTokens } from '#src/memory/count-tokens.ts';
import type { Chat, ChatSettings } from './chat.ts';
import { claimLost, hasCaller, runTurn, shuttingDown, stoppedByUser } from './running-turn.ts';
import type { Caller, Reply, RunningTurn } from './running-turn.ts';

export interface IncomingMessage {
  userId: string;
  chatId: string;
  text: string;
  /** The channel's own id of the message: a repeat of it never makes a second turn. */
  messageId: string | undefined;
  channel: string;
}

/** A caller who is there marks the delivery; after this time the outbox takes it to have crashed. */
const CALLER_DELIVERS_WITHIN_SECONDS = 60;

/**
 * The turn. Stores the message, and answers it when its place in the chat has come.
 * Rejects with `AppError`: `access_denied`, `rate_limited`, `budget_exhausted`,
 * `idempotency_mismatch`, `turn_cancelled`, the model's failures.
 */
export async function handleMessage(
  chat: Chat,
  message: IncomingMessage,
  caller: Caller,
): Promise<Reply> {
  if (chat.closing.signal.aborted) throw shuttingDown;
  const requestHash = hashRequest(message);
  const opened = await openTurn(
    chat.pool,
    {
      ...message,
      clientMessageId: message.messageId,
      requestHash: message.messageId === undefined ? undefined : requestHash,
      tokens: countTokens(message.text),
      listed: isListed(chat.settings, message),
    },
    chat.settings,
  );
  if (opened.outcome === 'refused') throw refused(opened.pairing_code);
  if (opened.outcome === 'known') {
    return await repeatTurn(chat, message.chatId, opened.turn_id, requestHash, caller);
  }
  caller.accepted({ turn_id: opened.turn_id, session_id: opened.session_id });
  const claim = opened.outcome === 'begun' ? { ...opened, text: message.text } : undefined;
  return await runTurn(
    chat,
    { turnId: opened.turn_id, chatId: message.chatId, attempt: claim?.attempt ?? 0 },
    caller,
    (turn) => answerTurn(chat, turn, claim),
  );
}

/** The same message again: its stored reply, the one being written, or a new try after a failure. */
async function repeatTurn(
  chat: Chat,
  chatId: string,
  turnId: string,
  requestHash: Buffer,
  caller: Caller,
): Promise<Reply> {
  const stored = await findTurn(chat.db, chatId, turnId);
  if (stored === undefined) throw erased();
  if (!stored.request_hash?.equals(requestHash)) {
    throw new AppError(
      'idempotency_mismatch',
      'This message_id came before with another text or user; use a new one.',
    );
  }
  caller.accepted({ turn_id: turnId, session_id: stored.session_id });
  if (stored.state === 'answered' || stored.state === 'cancelled') return storedReply(stored);
  const retry = stored.state === 'failed';
  return await runTurn(chat, { turnId, chatId, attempt: undefined }, caller, (turn) =>
    answerTurn(chat, turn, undefined, { retry }),
  );
}

/**
 * Answers a turn of which this process holds the claim, or waits until it may take it.
 * Only with `retry` is a turn that failed answered anew; else its failure is the outcome.
 */
export async function answerTurn(
  chat: Chat,
  turn: RunningTurn,
  held: (Claim & { text: string }) | undefined,
  options: { retry: boolean } = { retry: false },
): Promise<Reply> {
  const claim = held ?? (await takePlace(chat, turn, options.retry));
  if (claim === undefined) return await readReply(chat, turn);

  turn.attempt = claim.attempt;
  const startedAt = performance.now();
  const { prompt, log } = assembleContext({
    systemPrompt: chat.settings.systemPrompt,
    tokenBudget: chat.settings.contextTokenBudget,
    memory: claim.memory,
    recalled: [],
    text: claim.text,
  });

  let answer: Answer;
  try {
    answer = await writeAnswer(chat, turn, prompt);
  } catch (error) {
    if (error === claimLost) return await answerTurn(chat, withoutClaim(turn), undefined);
    throw await giveUp(chat, claim, log, error);
  }

  const finished = {
    turnId: claim.turn_id,
    sessionId: claim.session_id,
    attempt: claim.attempt,
    reply: answer.text,
    tokens: countTokens(answer.text),
    offerAfterSeconds: hasCaller(turn) ? CALLER_DELIVERS_WITHIN_SECONDS : 0,
    model: answer.model,
    finishReason: answer.finishReason,
    promptTokens: answer.promptTokens,
    completionTokens: answer.completionTokens,
    costUsd: answer.costUsd,
    latencyMs: Math.round(performance.now() - startedAt),
    context: log,
    spentTokens:
      (answer.promptTokens ?? log.prompt_tokens_estimated) +
      (answer.completionTokens ?? countTokens(answer.text)),
  };
  const replyId = await storeReply(chat, finished);
  if (replyId === undefined) return await answerTurn(chat, withoutClaim(turn), undefined);

  logTurn(chat, finished, log);
  if (needsSummary(chat, claim, log)) await chat.summaries.request(claim.session_id);
  return {
    text: answer.text,
    type: 'message',
    session_id: claim.session_id,
    turn_id: claim.turn_id,
    reply_message_id: replyId,
    replayed: false,
    delivery: 'pending',
  };
}

/** Waits for the turn's place and claims it; undefined where it has ended meanwhile. */
async function takePlace(
  chat: Chat,
  turn: RunningTurn,
  retry: boolean,
): Promise<(BegunTurn & { outcome: 'begun' }) | undefined> {
  try {
    if (turn.attempt === 0) await chat.waits.over(turn.turnId);
    for (let first = true; ; first = false) {
      if (chat.closing.signal.aborted) throw shuttingDown;
      const begun = await beginTurn(chat.pool, turn.turnId, retry && first, chat.settings);
      if (begun.outcome === 'begun') return begun;
      turn.attempt = begun.outcome === 'waiting' ? turn.attempt : undefined;
      if (begun.outcome === 'ended') return undefined;
      await chat.waits.over(turn.turnId);
    }
  } catch (error) {
    if (error === shuttingDown && turn.attempt === 0) {
      await releaseLeases(chat.db, [{ turnId: turn.turnId, attempt: 0 }]);
    }
    throw error;
  }
}

/** Another process has the claim now. Should it come back, the answer begins anew. */
function withoutClaim(turn: RunningTurn): RunningTurn {
  turn.attempt = undefined;
  turn.stop = new AbortController();
  return turn;
}

type Answer = Omit<Completion, 'finishReason'> & {
  finishReason: Completion['finishReason'] | 'cancelled';
};

/** Lets the model write. A user who stops it keeps what was written until then. */
async function writeAnswer(
  chat: Chat,
  turn: RunningTurn,
  prompt: PromptMessage[],
): Promise<Answer> {
  const streaming = [...turn.callers].some((caller) => caller.delta !== undefined);
  const onDelta = (text: string) => {
    turn.written += text;
    for (const caller of turn.callers) caller.delta?.(text);
  };
  turn.written = '';
  try {
    turn.stop.signal.throwIfAborted();
    const completion = await chat.model.complete(prompt, {
      signal: turn.stop.signal,
      onDelta: streaming ? onDelta : undefined,
      maxTokens: chat.settings.maxReplyTokens,
    });
    return { ...completion, text: storable(completion.text) };
  } catch (error) {
    const written = storable(turn.written);
    if (turn.stop.signal.reason === stoppedByUser && written.trim() !== '') {
      return { text: written, model: chat.model.name, finishReason: 'cancelled' };
    }
    throw error;
  }
}

/** Records why the turn has no reply. Returns the error for the callers. */
async function giveUp(
  chat: Chat,
  claim: Claim,
  log: ContextLog,
  error: unknown,
): Promise<AppError> {
  const problem = asAppError(error);
  const held = { turnId: claim.turn_id, attempt: claim.attempt };
  if (problem === shuttingDown) {
    await releaseLeases(chat.db, [held]);
    return problem;
  }
  await endTurn(chat.db, held, {
    state: problem === stoppedByUser ? 'cancelled' : 'failed',
    errorCode: problem.code,
    error: problem.message,
    context: log,
  });
  chat.logger.warn(
    {
      turn_id: claim.turn_id,
      session_id: claim.session_id,
      code: problem.code,
      reason: problem.message,
      err: problem.code === 'internal_error' ? error : undefined,
    },
    'turn ended without a reply',
  );
  return problem;
}

/** The statement is safe to repeat, and a short outage should not cost a written answer. */
async function storeReply(chat: Chat, finished: FinishedTurn): Promise<string | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await finishTurn(chat.pool, finished, chat.settings);
    } catch (error) {
      if (attempt === 3 || asAppError(error).code !== 'database_unavailable') throw error;
      await sleep(attempt * 300);
    }
  }
}

/** The outcome of a turn that another process ended. */
async function readReply(chat: Chat, turn: RunningTurn): Promise<Reply> {
  const stored = await findTurn(chat.db, turn.chatId, turn.turnId);
  if (stored === undefined) throw erased();
  return storedReply(stored);
}

function storedReply(turn: StoredTurn): Reply {
  if (turn.state === 'cancelled') throw stoppedByUser;
  if (turn.error_code === 'budget_exhausted') throw budgetExhausted();
  if (turn.state === 'failed') {
    throw new AppError(
      isErrorCode(turn.error_code) ? turn.error_code : 'internal_error',
      turn.error ?? 'The turn failed.',
    );
  }
  if (turn.reply === null || turn.reply_message_id === null) {
    throw new AppError('reply_deleted', 'The reply to this message was deleted by an operator.');
  }
  return {
    text: turn.reply,
    type: 'message',
    session_id: turn.session_id,
    turn_id: turn.id,
    reply_message_id: turn.reply_message_id,
    replayed: true,
    delivery: turn.delivery_state ?? 'pending',
  };
}

function isListed(settings: ChatSettings, message: IncomingMessage): boolean {
  return settings.allowedUsers.has(message.userId) || settings.allowedChats.has(message.chatId);
}

function refused(pairingCode: string | null): AppError {
  return pairingCode === null
    ? new AppError('access_denied', 'This user may not speak to this bot.')
    : new AppError('access_denied', 'An operator has to approve this user first.', { pairingCode });
}

/** The counter is as the turn read it, and its reply was added since; whatever did not fit into the prompt cannot wait. */
function needsSummary(chat: Chat, { memory }: Claim, log: ContextLog): boolean {
  const reply = 1;
  return (
    memory.messages_since_summary + reply >= chat.settings.summaryThreshold ||
    log.left_out.messages > 0
  );
}

function erased(): AppError {
  return new AppError(
    'turn_cancelled',
    'The conversation was erased while the message was answered.',
  );
}

/** PostgreSQL holds neither NUL nor half a surrogate pair; models sometimes write both. */
function storable(text: string): string {
  return text.replaceAll('\0', '').toWellFormed();
}

function hashRequest(message: IncomingMessage): Buffer {
  return createHash('sha256').update(`${message.userId}\0${message.text}`).digest();
}

function logTurn(chat: Chat, turn: FinishedTurn, log: ContextLog): void {
  chat.logger.info(
    {
      turn_id: turn.turnId,
      session_id: turn.sessionId,
      attempt: turn.attempt,
      model: turn.model,
      finish_reason: turn.finishReason,
      latency_ms: turn.latencyMs,
      prompt_tokens: turn.promptTokens ?? log.prompt_tokens_estimated,
      completion_tokens: turn.completionTokens ?? turn.tokens,
      window_messages: log.window.messages,
      left_out: log.left_out.messages,
    },
    'turn answered',
  );
}
