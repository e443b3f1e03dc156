import { AppError, asAppError } from '#src/errors.ts';
import { assembleContext } from '#src/memory/assemble-context.ts';
import { packContextLog } from '#src/memory/context-log.ts';
import { countText, countTokens } from '#src/memory/count-tokens.ts';
import { recallForTurn } from '#src/memory/recall/recall-for-turn.ts';
import type { Chat } from './chat.ts';
import { giveUp, storeReply } from './end-turn.ts';
import { findRepeated, findServable, hasEnded, hashRequest, isListed } from './repeat-message.ts';
import { claimLost, findCaller, runTurn, shuttingDown } from './running-turn.ts';
import type { Caller, Reply, RunningTurn } from './running-turn.ts';
import { readReply, silence, storedReply } from './stored-reply.ts';
import { takePlace, withoutClaim } from './take-place.ts';
import type { HeldClaim } from './take-place.ts';
import { writeAnswer } from './write-answer.ts';
import type { Answer } from './write-answer.ts';

export interface IncomingMessage {
  userId: string;
  chatId: string;
  text: string;
  /** The channel's own id of the message: a repeat of it never makes a second turn. */
  messageId: string | undefined;
  channel: string;
  /** Goes into every log line that the message leads to. */
  requestId: string;
}

/** A caller who is there marks the delivery; after this time the outbox takes it to have crashed. */
const CALLER_DELIVERS_WITHIN_SECONDS = 60;

/**
 * The turn. Stores the message, and answers it when its place in the chat has come.
 * Rejects with `AppError`: `access_denied`, `rate_limited`, `budget_exhausted`, `overloaded`,
 * `idempotency_mismatch`, `turn_cancelled`, the model's failures.
 */
export async function handleMessage(
  chat: Chat,
  message: IncomingMessage,
  caller: Caller,
): Promise<Reply> {
  const startedAt = performance.now();
  const isAdmitted = chat.admission.enter();
  try {
    const reply = isAdmitted
      ? await takeMessage(chat, message, caller)
      : await repeatTurn(chat, message, await findServable(chat, message), caller);
    if (reply.replayed) chat.metrics.replays.inc();
    else if (reply.type === 'message')
      chat.metrics.turnSeconds.observe((performance.now() - startedAt) / 1_000);
    return reply;
  } catch (error) {
    chat.metrics.problems.inc({ code: asAppError(error).code });
    throw error;
  } finally {
    if (isAdmitted) chat.admission.leave();
  }
}

async function takeMessage(chat: Chat, message: IncomingMessage, caller: Caller): Promise<Reply> {
  if (chat.closing.signal.aborted) throw shuttingDown;
  const text = countText(message.text);
  const opened = await chat.statements.open({
    ...message,
    clientMessageId: message.messageId,
    requestHash: message.messageId === undefined ? undefined : hashRequest(message),
    tokens: text.tokens,
    listed: isListed(chat.settings, message),
  });
  if (opened.outcome === 'refused') throw refused(opened.pairing_code);
  if (opened.outcome === 'known') {
    return await repeatTurn(chat, message, opened.turn_id, caller);
  }
  const { turn_id, session_id } = opened;
  if (opened.outcome === 'silenced') {
    caller.accepted({ turn_id, session_id, silent: true });
    chat.metrics.turns.inc({ outcome: 'silenced' });
    if (isPastThreshold(chat, opened)) await chat.summaries.request(session_id, message.requestId);
    return silence(session_id, turn_id, false);
  }
  caller.accepted({ turn_id, session_id });
  const claim = opened.outcome === 'begun' ? { ...opened, message: text } : undefined;
  return await runTurn(
    chat,
    {
      turnId: turn_id,
      chatId: message.chatId,
      requestId: message.requestId,
      attempt: claim?.attempt ?? 0,
    },
    caller,
    (turn) => answerTurn(chat, turn, claim),
  );
}

/** The same message again: its stored reply, the one being written, or a new try after a failure. */
async function repeatTurn(
  chat: Chat,
  message: IncomingMessage,
  turnId: string,
  caller: Caller,
): Promise<Reply> {
  const stored = await findRepeated(chat, message, turnId);
  const silent = stored.state === 'silenced' ? { silent: true as const } : {};
  caller.accepted({ turn_id: turnId, session_id: stored.session_id, ...silent });
  if (hasEnded(stored)) return storedReply(stored);
  const retry = stored.state === 'failed';
  const { chatId, requestId } = message;
  return await runTurn(chat, { turnId, chatId, requestId, attempt: undefined }, caller, (turn) =>
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
  held: HeldClaim | undefined,
  options: { retry: boolean } = { retry: false },
): Promise<Reply> {
  const claim = held ?? (await takePlace(chat, turn, options.retry));
  if (claim === undefined) return await readReply(chat, turn);

  turn.attempt = claim.attempt;
  const startedAt = performance.now();
  const { chatId } = turn;
  const text = claim.message.content;
  const { recalled, notes } = await recallForTurn(chat.vectors, { ...claim, chatId, text });
  const { prompt, log } = assembleContext({
    systemPrompt: chat.settings.systemPrompt,
    tokenBudget: chat.settings.contextTokenBudget,
    memory: claim.memory,
    recalled,
    notes,
    message: claim.message,
  });

  let answer: Answer;
  try {
    answer = await writeAnswer(chat, turn, prompt);
  } catch (error) {
    if (error === claimLost) return await answerTurn(chat, withoutClaim(turn), undefined);
    throw await giveUp(chat, turn, claim, log, error);
  }

  const tokens = countTokens(answer.text);
  const finished = {
    turnId: claim.turn_id,
    sessionId: claim.session_id,
    attempt: claim.attempt,
    reply: answer.text,
    tokens,
    offerAfterSeconds: findCaller(turn) === undefined ? 0 : CALLER_DELIVERS_WITHIN_SECONDS,
    model: answer.model,
    finishReason: answer.finishReason,
    promptTokens: answer.promptTokens,
    completionTokens: answer.completionTokens,
    costUsd: answer.costUsd,
    latencyMs: Math.round(performance.now() - startedAt),
    context: packContextLog(log),
    spentTokens:
      (answer.promptTokens ?? log.prompt_tokens_estimated) + (answer.completionTokens ?? tokens),
  };
  const replyId = await storeReply(chat, turn, finished, log);
  if (replyId === undefined) return await answerTurn(chat, withoutClaim(turn), undefined);

  const reply = 1;
  // Whatever did not fit into the prompt cannot wait.
  if (isPastThreshold(chat, claim.memory, reply) || log.left_out.messages > 0) {
    await chat.summaries.request(claim.session_id, turn.requestId);
  }
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

function refused(pairingCode: string | null): AppError {
  return pairingCode === null
    ? new AppError('access_denied', 'This user may not speak to this bot.')
    : new AppError('access_denied', 'An operator has to approve this user first.', { pairingCode });
}

/** The counter is as the turn read it; `added` have come since. */
function isPastThreshold(
  chat: Chat,
  counter: { messages_since_summary: number },
  added = 0,
): boolean {
  return counter.messages_since_summary + added >= chat.settings.summaryThreshold;
}
