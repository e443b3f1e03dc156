import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runCrashes } from './crash-run.ts';
import type { CrashRun } from './crash-run.ts';

const seed = Number(process.env['CRASH_SEED'] ?? 20_261_121);
const kills = Number(process.env['CRASH_KILLS'] ?? 100);

test(
  `${kills} crashes of bot and backend lose nothing and send nothing twice`,
  { timeout: 600_000 },
  async () => {
    const run = await runCrashes({ seed, kills, messages: 200, chats: 10, confirmEarly: false });
    const keep = process.env['CRASH_LOG'];
    if (keep !== undefined) writeFileSync(keep, run.log);

    expect(wordsByChat(run)).toEqual(run.said);
    expect(run.turns.filter((turn) => turn.state !== 'answered')).toEqual([]);
    expect(run.turns.filter((turn) => sentCopies(run, turn) > 1)).toEqual([]);
    const missing = run.turns.filter((turn) => sentCopies(run, turn) === 0);
    expect(missing.filter((turn) => turn.delivery !== 'uncertain')).toEqual([]);
    const uncertain = run.turns.filter((turn) => turn.delivery === 'uncertain');
    expect(uncertain.filter((turn) => !isFlagged(run, turn))).toEqual([]);
    expect(run.turns.filter((turn) => !/^(sent|uncertain)$/.test(turn.delivery))).toEqual([]);
    expectOrder(run);
    console.info(
      `${run.turns.length} turns of 200 messages; ${uncertain.length} uncertain, ${missing.length} of them not sent`,
    );
  },
);

test(
  'a bot that confirmed updates before they are stored would lose them',
  { timeout: 300_000 },
  async () => {
    let stored = 40;
    for (let tries = 0; stored === 40 && tries < 4; tries += 1) {
      const plan = { kills: 6, messages: 40, chats: 10, confirmEarly: true };
      const run = await runCrashes({ ...plan, seed: seed + tries });
      stored = [...wordsByChat(run).values()].flat().length;
    }
    expect(stored).toBeLessThan(40);
  },
);

/** What the turns hold of what was said, in their order. */
function wordsByChat({ turns }: CrashRun): Map<number, string[]> {
  const words = new Map<number, string[]>();
  for (const { chat_id: chat, asked } of turns) {
    words.set(Number(chat), [...(words.get(Number(chat)) ?? []), ...asked.split('\n')]);
  }
  return words;
}

function sentCopies(
  { telegram }: CrashRun,
  { chat_id: chat, reply }: { chat_id: string; reply: string },
) {
  return telegram.visible(Number(chat)).filter((message) => message.text === reply).length;
}

function isFlagged({ telegram }: CrashRun, turn: { chat_id: string; reply_id: string }): boolean {
  return telegram
    .visible(Number(turn.chat_id))
    .some((message) => JSON.stringify(message.payload).includes(`"retry:${turn.reply_id}"`));
}

function expectOrder({ telegram, turns, said }: CrashRun): void {
  for (const chat of said.keys()) {
    const answers = turns.filter((turn) => Number(turn.chat_id) === chat).map((turn) => turn.reply);
    const seen = telegram
      .visible(chat)
      .map((message) => message.text)
      .filter((text) => answers.includes(text));
    expect(seen).toEqual(answers.filter((answer) => seen.includes(answer)));
  }
}
