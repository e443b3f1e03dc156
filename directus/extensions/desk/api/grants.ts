interface Grant {
  create?: string[];
  update?: string[];
  delete?: true;
}

const decisions = ['access', 'rate_limit_per_minute', 'daily_token_budget'];

/**
 * What the panel may do to the backend's tables beside reading, whoever is signed in: these columns
 * and no others. PostgreSQL holds it to that; who of its users may do so is a matter of their role.
 */
export const grants: Record<string, Grant> = {
  chat_sessions: { update: ['is_active', 'closed_at'] },
  messages: { delete: true },
  conversation_summaries: { update: ['content'] },
  embeddings: { update: ['importance'] },
  turns: {},
  unentered_messages: {},
  users: { create: ['id', ...decisions], update: decisions },
};
