import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Violation } from './checks/evidence.ts';
import type { Caller } from './callers.ts';
import { connected } from './connected.ts';
import type { System } from './system.ts';

/** Everything is at rest when this many looks in a row found nothing to do. */
const QUIET_LOOKS = 4;
const LOOK_EVERY_MS = 500;
/** Nothing in the product waits longer than this before it tries again. */
const STUCK_AFTER_MS = 150_000;

/**
 * 9: waits until nothing is left to do. Resolves with what is still undone where nothing of it has
 * changed for so long that it is stuck; with none where all is done, or the wait is `inVain`.
 */
export async function comeToRest(
  system: System,
  callers: Caller[],
  threshold: number,
  inVain: AbortSignal,
): Promise<Violation[]> {
  return await connected(system.postgres.url, async (client) => {
    let before = '';
    let changedAt = Date.now();
    for (let quiet = 0; quiet < QUIET_LOOKS && !inVain.aborted;) {
      await sleep(LOOK_EVERY_MS);
      await skipWaits(client);
      const left = [...(await listUndone(client, threshold)), ...listWaiting(system, callers)];
      quiet = left.length === 0 ? quiet + 1 : 0;
      const now = `${JSON.stringify(left)} ${system.model.calls.length}`;
      if (now !== before) changedAt = Date.now();
      before = now;
      if (Date.now() - changedAt > STUCK_AFTER_MS) return left.filter(isCause).map(asViolation);
    }
    return [];
  });
}

/** A minute of a claim on a delivery or a memory, whose holder would long be done, and the hours of a summary that was given up, are not sat out. */
async function skipWaits(client: Client): Promise<void> {
  await client.query(
    `update messages set delivery_due_at = now()
     where delivery_channel = 'telegram' and delivery_state in ('pending', 'sending')
       and delivery_due_at < now() + interval '57 seconds'`,
  );
  await client.query(
    `update embeddings set claimed_until = now() where claimed_until < now() + interval '40 seconds'`,
  );
  await client.query(
    `update deleted_vectors set due_at = now() where due_at < now() + interval '40 seconds'`,
  );
  await client.query(
    'update chat_sessions set summary_retry_at = null where summary_retry_at > now()',
  );
}

function asViolation({ chat, what }: Undone): Violation {
  const about = what.match(/[\da-f-]{36}|(turn|message|vector) \d+|\{[^}]*\}/g) ?? [];
  return { rule: 'nothing is stuck', chat, about, text: what };
}

/** What waits for something else that is told of too is no cause. */
function isCause({ chat, what }: Undone, _: number, all: Undone[]): boolean {
  const rank = (text: string) => ranks.findIndex((pattern) => pattern.test(text));
  return !all.some((other) => other.chat === chat && rank(other.what) < rank(what));
}

const ranks = [/^turn .* is answering/, /^turn/, /^message/, /^session/, /indexed$/, /./];

interface Undone {
  chat: string;
  what: string;
}

async function listUndone(client: Client, threshold: number): Promise<Undone[]> {
  return (await client.query<Undone>(undone, [threshold])).rows;
}

function listWaiting({ telegram }: System, callers: Caller[]): Undone[] {
  const updates = telegram.queue.map(({ update_id: id }) => ({
    chat: '',
    what: `Telegram's update ${id} is not confirmed`,
  }));
  const calls = callers.flatMap(({ chat, waiting }) =>
    [...waiting].map((mark) => ({ chat, what: `${mark} has no answer` })),
  );
  return [...updates, ...calls];
}

const undone = `
  select t.chat_id as chat, format('turn %s of %s is %s at attempt %s', t.id,
      left(coalesce(m.content, t.text), 12), t.state, t.attempts) as what
    from turns t left join messages m on m.id = t.user_message_id
    where t.state in ('received', 'answering')
  union all
  select s.chat_id, format('message %s is %s', m.id, m.delivery_state)
    from messages m join chat_sessions s on s.id = m.session_id
    where m.delivery_channel = 'telegram' and m.delivery_state in ('pending', 'sending')
  union all
  select s.chat_id, format('session %s has %s messages that no summary covers', s.id, counted.all)
    from chat_sessions s, lateral (
      select count(*) as all, count(*) filter (where not exists (select from turns t
          where t.user_message_id = m.id and t.state <> 'answered')) as answered
        from messages m where m.session_id = s.id and m.id > coalesce((select last_message_id
          from conversation_summaries where session_id = s.id order by version desc limit 1), 0)
    ) as counted
    where counted.answered > 0 and (counted.all >= $1 or not s.is_active)
  union all
  select s.chat_id, format('%s of session %s''s memories are not indexed', count(*), s.id)
    from embeddings e join chat_sessions s on s.id = e.session_id
    where e.terms is null or e.state = 'pending' group by s.id
  union all
  select '', format('message %s has not entered the ledger', message_id) from unentered_messages
  union all
  select s.chat_id, format('message %s is unknown to the ledger', m.id)
    from messages m join chat_sessions s on s.id = m.session_id
    where m.role in ('user', 'assistant')
      and not exists (select from embeddings where message_id = m.id)
      and not exists (select from unentered_messages where message_id = m.id)
  union all
  select '', format('vector %s is to be deleted', embedding_id) from deleted_vectors
  order by 1, 2`;
