/** A message as its writer remembers it. */
export interface Said {
  mark: string;
  chat: string;
  channel: 'telegram' | 'api';
  at: number;
  /** The writer's own number of the conversation: it grows with every reset. Telegram only. */
  conversation: number;
  /** Every call that was made with it. Telegram has none. */
  calls: Call[];
}

/** One call of the API, as its caller saw it. */
export interface Call {
  at: number;
  endedAt: number;
  /** The turn is durably stored: `accepted` was streamed, or the answer says so. */
  accepted: boolean;
  /** undefined: not known. */
  status: number | undefined;
  code: string | undefined;
  reply: { text: string; replyId: string } | undefined;
}

/** A conversation that is known to have been closed: nothing said later belongs to it. */
export interface Closing {
  chat: string;
  /** Before the closing was asked for, and after it was confirmed. */
  askedAt: number;
  doneAt: number;
  /** Where one session was meant. */
  sessionId: string | undefined;
}

/** A chat of which everything was to be erased. */
export interface Forgetting {
  chat: string;
  askedAt: number;
  doneAt: number;
  /** false: nobody said that it was done, so it may be done later, or never. */
  known: boolean;
}
