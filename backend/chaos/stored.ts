import { connected } from './connected.ts';

/** The database as it is in the end. */
export interface Stored {
  sessions: StoredSession[];
  messages: StoredMessage[];
  turns: StoredTurn[];
  summaries: StoredSummary[];
}

export interface StoredSession {
  id: string;
  chat_id: string;
  is_active: boolean;
  created_at: number;
}

export interface StoredMessage {
  id: number;
  session_id: string;
  role: string;
  content: string;
  delivery_channel: string | null;
  delivery_state: string | null;
  created_at: number;
}

export interface StoredTurn {
  id: number;
  session_id: string;
  chat_id: string;
  client_message_id: string | null;
  state: string;
  text: string | null;
  user_message_id: number | null;
  reply_message_id: number | null;
  attempts: number;
  created_at: number;
  ended_at: number | null;
  error: string | null;
  context: StoredContext | null;
}

/** As far as it is compared with what the model was sent. */
export interface StoredContext {
  summary?: { version: number };
  window?: { messages: number };
  recalled?: object[];
  left_out?: { messages: number };
}

export interface StoredSummary {
  session_id: string;
  version: number;
  content: string;
  last_message_id: number;
  created_at: number;
}

export async function readStored(databaseUrl: string): Promise<Stored> {
  const { rows } = await connected(databaseUrl, (client) =>
    client.query<{ stored: Stored }>(everything),
  );
  if (rows[0] === undefined) throw new Error('the database gave no row');
  return rows[0].stored;
}

const ms = (column: string) =>
  `(extract(epoch from ${column}) * 1000)::double precision as ${column}`;

/** As one JSON document, so that numbers come as numbers. */
const everything = `
  select json_build_object(
    'sessions', (select coalesce(json_agg(r), '[]') from (
      select id, chat_id, is_active, ${ms('created_at')} from chat_sessions order by created_at) as r),
    'messages', (select coalesce(json_agg(r), '[]') from (
      select id, session_id, role, content, delivery_channel, delivery_state, ${ms('created_at')}
      from messages order by id) as r),
    'turns', (select coalesce(json_agg(r), '[]') from (
      select id, session_id, chat_id, client_message_id, state, text, user_message_id,
        reply_message_id, attempts, error, context, ${ms('created_at')}, ${ms('ended_at')}
      from turns order by id) as r),
    'summaries', (select coalesce(json_agg(r), '[]') from (
      select session_id, version, content, last_message_id, ${ms('created_at')}
      from conversation_summaries order by session_id, version) as r)
  ) as stored`;
