import { hash } from 'node:crypto';
import { findRepeatedTurn, findTurn } from '#src/db/turns.ts';
import type { StoredTurn } from '#src/db/turns.ts';
import { AppError } from '#src/errors.ts';
import { overloaded } from './admission.ts';
import type { Chat, ChatSettings } from './chat.ts';
import type { IncomingMessage } from './handle-message.ts';
import { erased } from './stored-reply.ts';

/** The turn that a message made when it came first; `idempotency_mismatch` where it was another message. */
export async function findRepeated(
  chat: Chat,
  message: IncomingMessage,
  turnId: string,
): Promise<StoredTurn> {
  const stored = await findTurn(chat.db, message.chatId, turnId);
  if (stored === undefined) throw erased();
  if (stored.request_hash?.equals(hashRequest(message))) return stored;
  throw new AppError(
    'idempotency_mismatch',
    'This message_id came before with another text or user; use a new one.',
  );
}

/**
 * Under overload only what makes no new turn is served: a repeat of a message that has its reply, or
 * is being answered here. Returns its turn's id, or rejects with `overloaded`.
 */
export async function findServable(chat: Chat, message: IncomingMessage): Promise<string> {
  const mayPass = chat.settings.access === 'open' || isListed(chat.settings, message);
  const turn = await findRepeatedTurn(chat.db, message, mayPass);
  const isCheap = turn !== undefined && (turn.isAnswered || chat.running.has(turn.id));
  if (!isCheap) throw overloaded();
  return turn.id;
}

/** A failure is no end: its message may be tried again. */
export function hasEnded({ state }: StoredTurn): boolean {
  return state === 'answered' || state === 'silenced' || state === 'cancelled';
}

export function hashRequest(message: IncomingMessage): Buffer {
  return hash('sha256', `${message.userId}\0${message.text}`, 'buffer');
}

export function isListed(settings: ChatSettings, message: IncomingMessage): boolean {
  return settings.allowedUsers.has(message.userId) || settings.allowedChats.has(message.chatId);
}
