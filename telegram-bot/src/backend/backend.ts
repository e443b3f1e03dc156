import { z } from 'zod';
import type { Logger } from '#src/logger.ts';
import { createBackendHttp } from './http.ts';
import { BackendProblem } from './problem.ts';
import { readTurnEvents } from './turn-events.ts';
import type { TurnEvent } from './turn-events.ts';

/** The channel under which the backend keeps the bot's chats. */
const CHANNEL = 'telegram';

/** A user's words, as one turn. `messageId` makes them safe to hand over again. */
export interface Turn {
  chatId: string;
  userId: string;
  text: string;
  messageId: string;
  /** Goes into the log lines of the bot, the backend and its jobs. */
  requestId: string;
}

export const Delivery = z.object({
  message_id: z.string(),
  chat_id: z.string(),
  text: z.string(),
  state: z.enum(['pending', 'sending']),
});
export type Delivery = z.infer<typeof Delivery>;

export const ChatMemory = z.object({
  summary: z.object({ version: z.number(), content: z.string() }).nullable(),
  messages_since_summary: z.number(),
  recent: z.array(z.object({ role: z.string(), content: z.string() })),
});
export type ChatMemory = z.infer<typeof ChatMemory>;

export interface DeliveryMark {
  state: 'pending' | 'sending' | 'sent' | 'uncertain' | 'failed';
  channel_message_id?: string;
  error?: string;
  in_order?: boolean;
}

export type { TurnEvent };

/**
 * The backend's API, as far as the bot uses it. Everything rejects with `BackendProblem` (it
 * decided so) or `BackendUnavailable` (the same call may be made again).
 */
export interface Backend {
  /** Hands a turn over and follows its answer. The first event says that it is durably stored. */
  handle(turn: Turn, signal: AbortSignal): AsyncGenerator<TurnEvent>;
  reset(chatId: string): Promise<void>;
  /** Returns how many answers were stopped. */
  cancel(chatId: string): Promise<number>;
  /** Returns how many rows were erased. */
  forget(chatId: string): Promise<number>;
  /** JSON; undefined where nothing is kept. */
  exportChat(chatId: string): Promise<string | undefined>;
  memory(chatId: string): Promise<ChatMemory | undefined>;
  /** False where the message is in a state that this mark may not follow. */
  mark(messageId: string, mark: DeliveryMark): Promise<boolean>;
  /** Claims what waits to be sent; waits up to `seconds` for the first. */
  deliveries(seconds: number, signal: AbortSignal): Promise<Delivery[]>;
}

export function createBackend(
  config: { url: string; apiKey: string | undefined },
  logger: Logger,
): Backend {
  const http = createBackendHttp(config, logger);
  return {
    async *handle(turn, signal) {
      const body = {
        chat_id: turn.chatId,
        user_id: turn.userId,
        text: turn.text,
        message_id: turn.messageId,
        channel: CHANNEL,
      };
      const headers = { accept: 'text/event-stream', 'x-request-id': turn.requestId };
      const response = await http.send('POST', '/v1/chat/handle', { body, headers, signal });
      yield* readTurnEvents(response);
    },
    async reset(chatId) {
      await http.json('POST', '/v1/chat/reset', z.unknown(), { body: { chat_id: chatId } });
    },
    async cancel(chatId) {
      const shape = z.object({ cancelled_turns: z.number() });
      const options = { body: { chat_id: chatId } };
      return (await http.json('POST', '/v1/chat/cancel', shape, options)).cancelled_turns;
    },
    async forget(chatId) {
      const shape = z.object({ deleted_rows: z.number() });
      const options = { body: { chat_id: chatId } };
      return (await http.json('POST', '/v1/chat/forget', shape, options)).deleted_rows;
    },
    async exportChat(chatId) {
      const response = await unless('not_found', http.send('GET', `${chatPath(chatId)}/export`));
      return await response?.text();
    },
    async memory(chatId) {
      return await unless('not_found', http.json('GET', `${chatPath(chatId)}/memory`, ChatMemory));
    },
    async mark(messageId, mark) {
      const call = http.json('POST', `/v1/deliveries/${messageId}`, z.unknown(), { body: mark });
      return (
        (await unless(
          'delivery_conflict',
          call.then(() => true),
        )) ?? false
      );
    },
    async deliveries(seconds, signal) {
      const shape = z.object({ deliveries: z.array(Delivery) });
      const path = `/v1/deliveries?channel=${CHANNEL}&wait=${seconds}`;
      return (await http.json('GET', path, shape, { signal })).deliveries;
    },
  };
}

function chatPath(chatId: string): string {
  return `/v1/chats/${encodeURIComponent(chatId)}`;
}

/** undefined where the backend answers with this code. */
async function unless<T>(code: string, call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof BackendProblem && error.code === code) return undefined;
    throw error;
  }
}
