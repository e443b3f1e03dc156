/** The backend's rows as Directus' REST API gives them, as far as they are drawn. */
export interface Session {
  id: string;
  user_id: string;
  chat_id: string;
  channel: string;
  is_active: boolean;
  taken_over_at: string | null;
  taken_over_by: string | null;
  created_at: string;
  closed_at: string | null;
  messages_since_summary: number;
  summary_error: string | null;
}

export interface Message {
  id: string;
  session_id: string;
  turn_id: string | null;
  role: 'user' | 'assistant' | 'system' | 'tool';
  content: string;
  tokens: number | null;
  created_at: string;
  author: string | null;
  operator_id: string | null;
  delivery_state: string | null;
  delivery_error: string | null;
}

export interface Turn {
  id: string;
  session_id: string;
  state: string;
  user_message_id: string | null;
  reply_message_id: string | null;
  model: string | null;
  latency_ms: number | null;
  prompt_tokens: number | null;
  completion_tokens: number | null;
  cost_usd: string | null;
  error: string | null;
  error_code: string | null;
  finish_reason: string | null;
}

/** What went into a prompt, as the backend keeps it with the turn. All counts are estimated tokens. */
export interface ContextLog {
  summary?: { id: string; version: number };
  window?: { first: string; last: string; messages: number };
  recalled?: Recalled[];
  left_out?: { messages: number; unanswered_messages: number; memories: number };
  notes?: string[];
  tokens: {
    instruction: number;
    summary?: number;
    window?: number;
    message: number;
    prompt: number;
    budget: number;
  };
}

export interface Recalled {
  memory_id: string;
  source: 'message' | 'summary';
  session_id: string;
  role: string;
  score: number;
  created_at: string;
  tokens: number;
}

export interface Summary {
  id: string;
  version: number;
  content: string;
  created_at: string;
}

/** What can be recalled of a message: a long one has several rows. */
export interface Memory {
  ids: string[];
  importance: number;
}
