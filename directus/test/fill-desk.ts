import { setTimeout as sleep } from 'node:timers/promises';
import type { Desk } from './start-desk.ts';

const talk = [
  ['Hi! I am Ada, I live in Riga.', 'Nice to meet you, Ada! How is Riga today?'],
  ['Rainy. I am having tea with lemon.', 'That sounds cosy.'],
  ['My cat Minka is asleep on my keyboard.', 'Then she has the best place in the house.'],
  ['My flight to Oslo leaves on 3 December at 9:40.', 'Noted: 3 December, 9:40, to Oslo.'],
  ['When does my flight leave, and who looks after Minka?', undefined],
] as const;

const summary =
  'The user is called Ada and lives in Riga. She likes tea with lemon and has a cat, Minka.';
const answer =
  'Your flight to Oslo leaves on 3 December at 9:40. You have not told me yet who looks after Minka.';

/** Two weeks of conversations, so that every page has something to show. Idempotent. */
export async function fillDesk(desk: Desk): Promise<{ session: string }> {
  const [known] = await desk.sql.rows<{ id: string }>(
    `select id from chat_sessions where chat_id = '67890'`,
  );
  if (known !== undefined) return { session: known.id };
  desk.model.behave(({ max_tokens: longest, messages }) => {
    const asked = messages.at(-1)?.content;
    const reply = talk.find(([question]) => question === asked)?.[1] ?? answer;
    const usage = { prompt_tokens: 320, completion_tokens: 40, cost: 0.0004 };
    return { kind: 'reply', text: longest === undefined ? reply : summary, usage };
  });
  await addHistory(desk);
  let session = '';
  for (const [question] of talk) {
    const { body } = await desk.api.handle({ user_id: 'ada', chat_id: '67890', text: question });
    session = body.session_id;
    await desk.api.post(`/v1/deliveries/${body.reply_message_id}`, { state: 'sending' });
    await desk.api.post(`/v1/deliveries/${body.reply_message_id}`, { state: 'sent' });
    await untilIndexed(desk);
  }
  return { session };
}

/** Other people, of the last two weeks: written at once, because the clock cannot be told to. */
async function addHistory(desk: Desk): Promise<void> {
  await desk.sql.rows(`
    insert into chat_sessions (user_id, chat_id, channel, is_active, created_at)
    select (array['grace', 'linus', 'margaret', 'oleg', 'katherine'])[1 + n % 5],
        '10' || n, 'telegram', n % 3 <> 0, now() - n * interval '8 hours'
      from generate_series(40, 1, -1) as n`);
  await desk.sql.rows(`
    insert into messages (session_id, role, content, created_at, delivery_state)
    select s.id, r, case r when 'user' then 'Could you remind me of it tomorrow?' else 'Gladly.' end,
        s.created_at + k * interval '3 minutes',
        case when r = 'assistant' then
          case when k = 2 and s.chat_id = '107' then 'uncertain' else 'sent' end end
      from chat_sessions s, generate_series(1, 3) as k, unnest(array['user', 'assistant']) as r
      where s.channel = 'telegram' order by s.created_at, k, r desc`);
  await desk.sql.rows(`
    insert into turns (session_id, chat_id, user_id, state, model, latency_ms, prompt_tokens,
      completion_tokens, cost_usd, error_code, error, created_at, ended_at)
    select id, chat_id, user_id,
        case when k = 3 and right(chat_id, 1) in ('3', '7') then 'failed' else 'answered' end,
        'google/gemini-2.5-flash', 600 + 90 * (length(chat_id) * k) + 40 * right(chat_id, 1)::integer,
        300 + 60 * k, 40 + 5 * k, 0.0003 * k,
        case when k = 3 and right(chat_id, 1) in ('3', '7') then 'model_timeout' end,
        case when k = 3 and right(chat_id, 1) in ('3', '7') then 'The model did not answer in time.' end,
        created_at + k * interval '3 minutes', created_at + k * interval '3 minutes'
      from chat_sessions, generate_series(1, 3) as k where channel = 'telegram'
      order by chat_sessions.created_at + k * interval '3 minutes'`);
  await desk.sql.rows(`
    insert into users (id, access, pairing_code, rate_limit_per_minute, daily_token_budget)
    values ('ada', 'approved', null, null, null), ('grace', 'approved', null, 10, 50000),
      ('linus', 'pending', 'K7QX2M', null, null), ('mallory', 'blocked', null, null, null)`);
}

async function untilIndexed(desk: Desk): Promise<void> {
  for (;;) {
    const waiting = await desk.sql.rows(
      `select message_id from unentered_messages union all
        select id from embeddings where terms is null limit 1`,
    );
    if (waiting.length === 0) return;
    await sleep(100);
  }
}
