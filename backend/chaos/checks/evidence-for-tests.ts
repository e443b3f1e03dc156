import type { StoredTurn } from '../stored.ts';

/** The turn of chat `c` in session `s` that answered something, but for what is given. */
export function storedTurn(given: Partial<StoredTurn>): StoredTurn {
  return {
    id: 1,
    session_id: 's',
    chat_id: 'c',
    client_message_id: null,
    state: 'answered',
    text: null,
    user_message_id: null,
    reply_message_id: null,
    attempts: 1,
    created_at: 0,
    ended_at: 0,
    error: null,
    context: null,
    ...given,
  };
}
