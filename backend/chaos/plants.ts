import { connected } from './connected.ts';
import type { Plant } from './plan.ts';

/** Puts the mistake into the run's own database. The early confirmation is the fake Telegram's. */
export async function plantMistake(databaseUrl: string, plant: Plant | undefined): Promise<void> {
  const sql = plant === undefined ? undefined : mistakes[plant];
  if (sql === undefined) return;
  await connected(databaseUrl, (client) => client.query(sql));
}

const mistakes: Record<Plant, string | undefined> = {
  'early-confirmation': undefined,

  // Messages that arrived while the summary was written are no longer counted.
  'counter-reset': `
    create or replace function recount_messages(p_session_id uuid) returns void language sql as $$
      update chat_sessions set messages_since_summary = 0 where id = p_session_id
    $$`,

  // The summary claims everything that is there when it is stored, not what it was written from.
  'watermark-by-time': `
    create function claim_all_until_now() returns trigger language plpgsql as $$
    begin
      select greatest(new.last_message_id, max(id)) into new.last_message_id from messages
        where session_id = new.session_id and created_at <= now();
      return new;
    end $$;
    create trigger a_mistake before insert on conversation_summaries
      for each row execute function claim_all_until_now()`,

  // Who died while answering keeps the turn for ever.
  'endless-lease': `
    create function never_expire() returns trigger language plpgsql as $$
    begin
      if new.lease_expires_at is not null then new.lease_expires_at := 'infinity'; end if;
      return new;
    end $$;
    create trigger a_mistake before insert or update on turns
      for each row execute function never_expire()`,

  // Nobody is told that a deleted message has a vector.
  'vector-kept': 'drop trigger embeddings_remember_deleted on embeddings',
};
