import { sql } from 'kysely';
import { connect } from '#src/db/connect.ts';
import type { Db } from '#src/db/connect.ts';
import { migrateToLatest } from '#src/db/migrate.ts';
import { indexMemories } from '#src/memory/recall/index-memories.ts';
import { searchMemories } from '#src/memory/recall/search-memories.ts';
import { percentile } from './measure.ts';
import type { Server } from './server.ts';

const SMALL = 1_000;
const LARGE = 100_000;
const OTHERS = 1_000;
const QUERIES = 300;

interface Times {
  median_ms: number;
  p95_ms: number;
}

/** `pnpm bench recall`: a search in a chat of 1,000 and one of 100,000 messages, alone and among all the others. */
export async function runRecall(server: Server, messages: number) {
  const others = Math.ceil((messages - SMALL - LARGE) / OTHERS);
  const { url } = await server.createDatabase('recall');
  await migrateToLatest(url);
  const { db, close } = connect(url, { max: 1 });
  try {
    await fill(db, 'small', SMALL);
    await fill(db, 'large', LARGE);
    const alone = await index(db, 'small and large');
    const before = { small: await time(db, 'small'), large: await time(db, 'large') };
    for (let other = 0; other < OTHERS; other += 50) {
      for (let chat = other; chat < other + 50; chat += 1) await fill(db, `other ${chat}`, others);
      await index(db, `${alone + (other + 50) * others} messages`);
    }
    await sql`vacuum analyze`.execute(db);
    const small = await time(db, 'small');
    const large = await time(db, 'large');
    console.log(`\na search, milliseconds (median of ${QUERIES}; 95th percentile)`);
    report('1,000 messages, nobody else', before.small);
    report('100,000 messages, nobody else', before.large);
    report(`1,000 messages among ${messages}`, small);
    report(`100,000 messages among ${messages}`, large);
    const large_of_small = large.median_ms / small.median_ms;
    console.log(`100,000 take ${large_of_small.toFixed(2)} times what 1,000 take`);
    return { messages, alone: before, among_all: { small, large }, large_of_small };
  } finally {
    await close();
  }
}

/** Words as people use them: a few often, most seldom (Zipf), in two scripts. */
async function fill(db: Db, chatId: string, messages: number): Promise<void> {
  await sql`
    with session as (
      insert into chat_sessions (chat_id, user_id) values (${chatId}, ${chatId}) returning id
    )
    insert into messages (session_id, role, content, created_at)
      select session.id, case when n % 2 = 0 then 'user' else 'assistant' end, words.text,
          now() - (${messages}::integer - n) * interval '10 minutes'
        from session, generate_series(1, ${messages}::integer) as n,
          lateral (select string_agg(case when rank % 2 = 0 then word
              else translate(word, 'abcdef0123456789', 'авеикмнопрстудлг') end, ' ') as text
            from generate_series(1, 4 + n % 9),
              lateral (select floor(exp(random() * ln(30000)))::integer as rank) as drawn,
              lateral (select translate(substr(md5(rank::text), 1, 4 + rank % 5), '0123456789', 'ghiklmnopr')
                as word) as words) as words`.execute(db);
}

async function index(db: Db, what: string): Promise<number> {
  const startedAt = performance.now();
  let total = 0;
  for (let taken = 1; taken > 0; total += taken) taken = await indexMemories(db);
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(`${what}: ${total} indexed, ${Math.round(total / seconds)} a second`);
  return total;
}

async function time(db: Db, chatId: string): Promise<Times> {
  const { rows } = await sql<{ content: string }>`
    select m.content from messages m join chat_sessions s on s.id = m.session_id
      where s.chat_id = ${chatId} order by md5(m.id::text) limit ${QUERIES}`.execute(db);
  const times: number[] = [];
  for (const { content } of [...rows.slice(0, 20), ...rows]) {
    const startedAt = performance.now();
    // A question of some words that stand together and some that do not.
    const query = `${content.split(' ').slice(0, 6).join(' ')} неведомое something else`;
    await searchMemories(db, { chatId, query, limit: 10 });
    times.push(performance.now() - startedAt);
  }
  const sorted = times.slice(20).sort((a, b) => a - b);
  return { median_ms: percentile(sorted, 0.5), p95_ms: percentile(sorted, 0.95) };
}

function report(name: string, { median_ms, p95_ms }: Times): void {
  const cells = [median_ms, p95_ms].map((ms) => ms.toFixed(2).padStart(8));
  console.log(name.padEnd(40) + cells.join(' '));
}
