/** What the database's read_memory returns for a turn. Ids are decimal strings, as everywhere: they do not fit a number. */
export interface Memory {
  summary: { id: string; version: number; content: string; last_message_id: string } | null;
  /** Messages before the turn's own, oldest first, back to the summary's last message or further. */
  window: WindowMessage[];
  /** The session's counter; the turn's own message is in it. */
  messages_since_summary: number;
  /** How many of those belong to turns that were never answered, and stay out of every prompt. */
  unanswered_since_summary: number;
}

export interface WindowMessage {
  id: string;
  role: 'user' | 'assistant' | 'system' | 'tool';
  content: string;
  /** null: not counted yet (written or edited by hand). */
  tokens: number | null;
}
