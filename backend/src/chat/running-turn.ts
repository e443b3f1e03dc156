import { AppError } from '#src/errors.ts';
import type { DeliveryState } from '#src/db/turns.ts';
import type { Chat } from './chat.ts';

/** Someone who waits for a turn's reply. Hanging up does not stop the turn. */
export interface Caller {
  /** Called once, as soon as the turn is durably stored. `silent`: it is known to get no reply. */
  accepted: (turn: { turn_id: string; session_id: string; silent?: true }) => void;
  /** Where given, the answer is streamed: called with each piece of text. */
  delta?: (text: string) => void;
  /** Called with what the log should tell of the turn, where it is answered while this caller waits. */
  answered: (facts: TurnFacts) => void;
  /** Aborts when the caller hangs up. */
  signal: AbortSignal;
}

/** Ids, durations and counts; never text. */
export type TurnFacts = Record<string, string | number | undefined>;

interface AnyReply {
  session_id: string;
  turn_id: string;
  /** True where this call made no model call of its own. */
  replayed: boolean;
}

interface MessageReply extends AnyReply {
  type: 'message';
  text: string;
  reply_message_id: string;
  delivery: DeliveryState;
}

/** An operator holds the chat: the message is kept, and the bot says nothing. */
interface Silence extends AnyReply {
  type: 'silence';
  text: '';
  reply_message_id: null;
  delivery: null;
}

/** The answer to `POST /v1/chat/handle`. */
export type Reply = MessageReply | Silence;

/** A turn that this process answers, or waits for. */
export interface RunningTurn {
  turnId: string;
  chatId: string;
  /** Of the call that led to it; undefined where a crashed process was asked. */
  requestId: string | undefined;
  /** The claim it holds: 0 while it waits for its place, undefined where another process holds it. */
  attempt: number | undefined;
  /** Aborting stops the model; the reason is the `AppError` that the callers get. */
  stop: AbortController;
  /** What has been streamed so far. */
  written: string;
  callers: Set<Caller>;
  reply: Promise<Reply>;
}

export const stoppedByUser = new AppError(
  'turn_cancelled',
  'The answer was stopped before it began.',
);
export const claimLost = new AppError(
  'internal_error',
  'Another process has taken this turn over.',
);
export const shuttingDown = new AppError(
  'shutting_down',
  'The server is shutting down; the message is kept and will be answered.',
  { retryAfterSeconds: 5 },
);

/**
 * Runs `work` for a turn, once in this process: a second caller of the same turn joins the first
 * and gets the same reply, marked as replayed.
 */
export async function runTurn(
  chat: Chat,
  turn: Pick<RunningTurn, 'turnId' | 'chatId' | 'requestId' | 'attempt'>,
  caller: Caller | undefined,
  work: (running: RunningTurn) => Promise<Reply>,
): Promise<Reply> {
  const known = chat.running.get(turn.turnId);
  if (known !== undefined) {
    if (caller !== undefined) known.callers.add(caller);
    if (known.written !== '') caller?.delta?.(known.written);
    return { ...(await known.reply), replayed: true };
  }
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const running: RunningTurn = {
    ...turn,
    stop: new AbortController(),
    written: '',
    callers: new Set(caller === undefined ? [] : [caller]),
    reply: promise.finally(() => {
      chat.running.delete(turn.turnId);
      chat.waits.look();
    }),
  };
  chat.running.set(turn.turnId, running);
  work(running).then(resolve, reject);
  return await running.reply;
}

/** Somebody who still waits for this turn's reply. */
export function findCaller(turn: RunningTurn): Caller | undefined {
  return [...turn.callers].find((caller) => !caller.signal.aborted);
}
