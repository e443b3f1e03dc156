import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { mark, startMarkedModel } from '#test/marked-model.ts';
import type { MarkedModel } from '#test/marked-model.ts';
import { brokenSessions, eventually, serveChats } from '#test/served-chats.ts';
import type { ServedChats } from '#test/served-chats.ts';

vi.setConfig({ testTimeout: 180_000 });

const THRESHOLD = 10;
const CHATS = 10;
const TURNS = 200;

const seed = Math.floor(Math.random() * 2 ** 32);
const random = createRandom(seed);
const chance = (share: number) => random() < share;

let model: MarkedModel;
let chats: ServedChats;

beforeAll(async () => {
  model = await startMarkedModel(() => (chance(0.2) ? Math.floor(random() * 30) : 0));
  chats = await serveChats({
    LLM_BASE_URL: model.url,
    LLM_MODEL: 'marked',
    SHORT_HISTORY_LIMIT: '6',
    SUMMARY_THRESHOLD: String(THRESHOLD),
    SUMMARY_NEW_MESSAGES_LIMIT: '16',
    SUMMARY_MAX_TOKENS: '100000',
    CONTEXT_TOKEN_BUDGET: '1000000',
  });
  await chats.startWorker();
});

afterAll(async () => {
  await chats.close();
  await model.close();
});

test(`every prompt of ${CHATS * TURNS} random turns holds the whole session (seed ${seed})`, async () => {
  // A failed turn's message stays out until it is answered; most are tried again later.
  const failing = new Set<string>();
  model.onChat((marker) => (failing.delete(marker) ? { kind: 'status', status: 400 } : undefined));
  await Promise.all(Array.from({ length: CHATS }, (_, index) => converse(`c${index}`)));
  expect(model.violations).toEqual([]);

  await eventually(
    async () => (await sessionsPast(THRESHOLD)).length === 0,
    30,
    () => sessionsPast(THRESHOLD),
  );
  expect(await chats.sql(brokenSessions)).toEqual([]);
  const [versions] = await chats.sql<{ count: string }>(
    'select count(*) from conversation_summaries',
  );
  expect(Number(versions?.count)).toBeGreaterThan((CHATS * TURNS) / THRESHOLD);

  async function converse(chat: string): Promise<void> {
    const toRepeat: number[] = [];
    for (let said = 0, size = 1; said < TURNS; said += size) {
      if (chance(0.01)) {
        await chats.post('/v1/chat/reset', { chat_id: chat });
        model.forget(chat);
        toRepeat.length = 0;
      }
      // A few messages at once wait for each other; one more is sent again after its failure.
      size = chance(0.1) ? 3 : 1;
      const first = said;
      const burst = Array.from({ length: size }, (_, index) => first + index);
      for (const each of burst) if (chance(0.05)) failing.add(mark(chat, each));
      if (chance(0.5)) burst.push(...toRepeat.splice(0, 1));
      await Promise.all(
        burst.map(async (each) => {
          const text = `${mark(chat, each)} ${'and so on '.repeat(Math.floor(random() * 5))}`;
          await chats.say(chat, text, `m${each}`).catch(() => toRepeat.push(each));
        }),
      );
    }
  }
});

async function sessionsPast(threshold: number): Promise<object[]> {
  return await chats.sql(
    `select s.* from chat_sessions s where (select count(*) from messages m
       where m.session_id = s.id and m.id > latest_watermark(s.id) and not exists (
         select from turns t where t.user_message_id = m.id and t.state not in ('answered', 'silenced'))) >= $1`,
    [threshold],
  );
}

/** mulberry32: a failure can be repeated with its seed. */
function createRandom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
