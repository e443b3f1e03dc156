/** What the database's read_memory returns for a turn. Ids are decimal strings, as everywhere: they do not fit a number. */
export interface Memory {
  summary: { id: string; version: number; content: string; last_message_id: string } | null;
  /** Messages before the turn's own, oldest first, back to the summary's last message or further. */
  window: WindowMessage[];
  /** Older messages and summary sentences that matter for the turn, best first; none of the window. */
  recalled: RecalledMemory[];
  /** The session's counter; the turn's own message is in it. */
  messages_since_summary: number;
  /** How many of those belong to turns that were never answered, and stay out of every prompt. */
  unanswered_since_summary: number;
}

/** Where memories are looked for: the open session, all of the chat's, or all of the user's. */
export type RecallScope = 'session' | 'chat' | 'user';

/** An older message or summary sentence (a passage of it, where it is long) that was found to matter. */
export interface RecalledMemory {
  /** Of its row in `embeddings`. */
  memory_id: string;
  source: 'message' | 'summary';
  message_id: string | null;
  session_id: string;
  role: 'user' | 'assistant' | 'system' | 'tool';
  /** Higher says more; 1 is about as much as a memory could say. */
  score: number;
  /** ISO 8601. */
  created_at: string;
  content: string;
}

export interface WindowMessage {
  id: string;
  role: 'user' | 'assistant' | 'system' | 'tool';
  content: string;
  /** null: not counted yet (written or edited by hand). */
  tokens: number | null;
}
