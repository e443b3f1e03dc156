import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { connect } from '#src/db/connect.ts';
import { migrateToLatest } from '#src/db/migrate.ts';
import { runEntry } from '#src/run-entry.ts';
import { StartError } from '#src/start-error.ts';
import { startPostgres } from '#test/postgres-server.ts';
import { parseDialogues } from './dialogues.ts';
import { evaluateRecall, recallAt, silence } from './evaluate-recall.ts';
import type { Evaluation } from './evaluate-recall.ts';

const names = new Map([
  [1, 'multi-hop'],
  [2, 'temporal'],
  [3, 'open-domain'],
  [4, 'single-hop'],
  [5, 'unanswerable'],
]);

/** `pnpm eval:recall <file.json> [--k 5,10,20]`: how much of the evidence is found, on a database of its own. */
await runEntry(async () => {
  const { values, positionals } = parseArgs({
    options: { k: { type: 'string', default: '5,10,20' } },
    allowPositionals: true,
  });
  const ks = values.k.split(',').map(Number);
  const [file] = positionals;
  if (file === undefined || !ks.every((k) => Number.isInteger(k) && k > 0)) {
    throw new StartError(
      'Usage: pnpm eval:recall <file.json> [--k 5,10,20], where the file holds dialogues in LoCoMo’s layout.',
    );
  }
  const dialogues = parseDialogues(JSON.parse(await readFile(file, 'utf8')));
  const postgres = await startPostgres();
  await migrateToLatest(postgres.url);
  const { db, close } = connect(postgres.url, { max: 1 });
  try {
    print(await evaluateRecall(db, dialogues, Math.max(...ks)), ks);
  } finally {
    await close();
    await postgres.stop();
  }
});

function print({ messages, rowsPerSecond, questions }: Evaluation, ks: number[]): void {
  const line = (name: string, asked: Evaluation['questions']) =>
    row([name, String(asked.length), ...ks.map((k) => percent(recallAt(asked, k)))]);
  console.log(row(['category', 'questions', ...ks.map((k) => `recall@${k}`)]));
  const byCategory = [...Map.groupBy(questions, ({ category }) => category)].sort(
    ([a], [b]) => a - b,
  );
  for (const [category, asked] of byCategory) {
    console.log(line(`${category} ${names.get(category) ?? ''}`, asked));
  }
  const answerable = questions.filter((question) => question.answerable);
  const unanswerable = questions.filter((question) => !question.answerable);
  console.log(line('all that have an answer', answerable));
  console.log(
    `\nnothing found for ${percent(silence(unanswerable))} of ${unanswerable.length} questions without an answer, and for ${percent(silence(answerable))} of those with one`,
  );
  const times = questions.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  const at = (share: number) => (times[Math.floor(share * (times.length - 1))] ?? 0).toFixed(2);
  console.log(`a query takes ${at(0.5)} ms (median), ${at(0.95)} ms (95th percentile)`);
  console.log(`${messages} messages stored and indexed, ${Math.round(rowsPerSecond)} a second`);
}

function percent(share: number): string {
  return Number.isNaN(share) ? '–' : `${(share * 100).toFixed(1)} %`;
}

function row(cells: string[]): string {
  return cells.map((cell, index) => (index === 0 ? cell.padEnd(24) : cell.padStart(11))).join('');
}
