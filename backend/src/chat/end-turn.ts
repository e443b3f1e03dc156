import { setTimeout as sleep } from 'node:timers/promises';
import type { Claim, FinishedTurn } from '#src/db/turn-statements.ts';
import { endTurn, releaseLeases } from '#src/db/turns.ts';
import type { AppError } from '#src/errors.ts';
import { asAppError } from '#src/errors.ts';
import { packContextLog } from '#src/memory/context-log.ts';
import type { ContextLog } from '#src/memory/context-log.ts';
import type { Chat } from './chat.ts';
import { findCaller, shuttingDown, stoppedByUser } from './running-turn.ts';
import type { RunningTurn } from './running-turn.ts';

/** Records why the turn has no reply. Returns the error for the callers. */
export async function giveUp(
  chat: Chat,
  { requestId }: RunningTurn,
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
  const state = problem === stoppedByUser ? 'cancelled' : 'failed';
  await endTurn(chat.db, held, {
    state,
    errorCode: problem.code,
    error: problem.message,
    context: packContextLog(log),
  });
  chat.metrics.turns.inc({ outcome: state });
  chat.logger.warn(
    {
      request_id: requestId,
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

/**
 * Stores the reply and returns its message id; undefined where the claim was lost. The statement is
 * safe to repeat, and a short outage should not cost a written answer.
 */
export async function storeReply(
  chat: Chat,
  running: RunningTurn,
  finished: FinishedTurn,
  log: ContextLog,
): Promise<string | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const replyId = await chat.statements.finish(finished);
      if (replyId !== undefined) tellOf(chat, running, finished, log);
      return replyId;
    } catch (error) {
      if (attempt === 3 || asAppError(error).code !== 'database_unavailable') throw error;
      await sleep(attempt * 300);
    }
  }
}

/** In the log the line of the caller's request tells it; where nobody waits, one of its own. */
function tellOf(
  { logger, metrics }: Chat,
  running: RunningTurn,
  turn: FinishedTurn,
  log: ContextLog,
): void {
  const promptTokens = turn.promptTokens ?? log.prompt_tokens_estimated;
  const completionTokens = turn.completionTokens ?? turn.tokens;
  metrics.turns.inc({ outcome: 'answered' });
  metrics.modelSeconds.observe(turn.latencyMs / 1_000);
  metrics.modelTokens.inc({ kind: 'prompt' }, promptTokens);
  metrics.modelTokens.inc({ kind: 'completion' }, completionTokens);
  metrics.windowMessages.observe(log.window.messages);
  metrics.leftOutMessages.inc(log.left_out.messages);
  const facts = {
    turn_id: turn.turnId,
    session_id: turn.sessionId,
    attempt: turn.attempt,
    model: turn.model,
    finish_reason: turn.finishReason,
    latency_ms: turn.latencyMs,
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    window_messages: log.window.messages,
    left_out: log.left_out.messages,
  };
  const caller = findCaller(running);
  if (caller === undefined) {
    logger.info({ request_id: running.requestId, ...facts }, 'turn answered');
  } else {
    caller.answered(facts);
  }
}
