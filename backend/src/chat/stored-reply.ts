import { budgetExhausted } from '#src/db/turn-statements.ts';
import { findTurn } from '#src/db/turns.ts';
import type { StoredTurn } from '#src/db/turns.ts';
import { AppError, isErrorCode } from '#src/errors.ts';
import type { Chat } from './chat.ts';
import { stoppedByUser } from './running-turn.ts';
import type { Reply, RunningTurn } from './running-turn.ts';

/** The outcome of a turn that another process ended. */
export async function readReply(chat: Chat, turn: RunningTurn): Promise<Reply> {
  const stored = await findTurn(chat.db, turn.chatId, turn.turnId);
  if (stored === undefined) throw erased();
  return storedReply(stored);
}

/** The reply of a turn that has ended; throws what its callers were told where it has none. */
export function storedReply(turn: StoredTurn): Reply {
  if (turn.state === 'silenced') return silence(turn.session_id, turn.id, true);
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

export function silence(sessionId: string, turnId: string, replayed: boolean): Reply {
  return {
    text: '',
    type: 'silence',
    session_id: sessionId,
    turn_id: turnId,
    reply_message_id: null,
    replayed,
    delivery: null,
  };
}

export function erased(): AppError {
  return new AppError(
    'turn_cancelled',
    'The conversation was erased while the message was answered.',
  );
}
