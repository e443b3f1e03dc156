/** Where a conversation takes place. A forum topic is a conversation of its own. */
export interface Place {
  chatId: number;
  threadId?: number;
}

/** A group's ids are negative. */
export function isGroup(place: Place): boolean {
  return place.chatId < 0;
}

/** Replies in ordinary groups carry a thread id too: only a topic's counts. */
export function placeOf(message: {
  chat: { id: number };
  message_thread_id?: number;
  is_topic_message?: boolean;
}): Place {
  return message.is_topic_message
    ? { chatId: message.chat.id, threadId: message.message_thread_id }
    : { chatId: message.chat.id };
}

/** The place as the backend's `chat_id`. */
export function chatKey({ chatId, threadId }: Place): string {
  return threadId === undefined ? String(chatId) : `${chatId}:${threadId}`;
}

/** undefined where the key is not one of ours. */
export function parseChatKey(key: string): Place | undefined {
  const [, chatId, threadId] = /^(-?\d+)(?::(\d+))?$/.exec(key) ?? [];
  if (chatId === undefined) return undefined;
  return {
    chatId: Number(chatId),
    threadId: threadId === undefined ? undefined : Number(threadId),
  };
}
