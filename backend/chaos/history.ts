/** One thing that happened, as it is told when something went wrong. */
export interface HistoryEvent {
  /** Milliseconds since 1970, as every time here: all of it runs on one machine. */
  at: number;
  /** Where it concerns one chat alone. */
  chat: string | undefined;
  text: string;
}

export interface History {
  events: HistoryEvent[];
  note(text: string, chat?: string): void;
}

export function startHistory(): History {
  const events: HistoryEvent[] = [];
  return { events, note: (text, chat) => void events.push({ at: Date.now(), chat, text }) };
}
