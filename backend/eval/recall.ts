import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { connect } from '#src/db/connect.ts';
import { migrateToLatest } from '#src/db/migrate.ts';
import { runEntry } from '#src/run-entry.ts';
import { StartError } from '#src/start-error.ts';
import { startPostgres } from '#test/postgres-server.ts';
import { parseDialogues } from './dialogues.ts';
import { askQuestions, recallAt, silence, storeDialogues } from './evaluate-recall.ts';
import type { Asked } from './evaluate-recall.ts';
import { fillWithVectors } from './fill-with-vectors.ts';

const names = new Map([
  [1, 'multi-hop'],
  [2, 'temporal'],
  [3, 'open-domain'],
  [4, 'single-hop'],
  [5, 'unanswerable'],
]);

/** `pnpm eval:recall <file.json> [--k 5,10,20]`: how much of the evidence is found, on a database of its own; where QDRANT_URL is set, also with vectors, in a collection of its own. */
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
    const limit = Math.max(...ks);
    const stored = await storeDialogues(db, dialogues);
    console.log(
      `${stored.places.size} messages stored and indexed, ${Math.round(stored.rowsPerSecond)} a second\n`,
    );
    print(await askQuestions(db, dialogues, stored, { limit }), ks);
    const vectors = await fillWithVectors(db);
    if (vectors === undefined) return;
    console.log(`\nwith the vectors of ${vectors.model}\n`);
    try {
      print(await askQuestions(db, dialogues, stored, { limit, vectors }), ks);
    } finally {
      await vectors.close();
    }
  } finally {
    await close();
    await postgres.stop();
  }
});

function print(questions: Asked[], ks: number[]): void {
  const line = (name: string, asked: Asked[]) =>
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
}

function percent(share: number): string {
  return Number.isNaN(share) ? '–' : `${(share * 100).toFixed(1)} %`;
}

function row(cells: string[]): string {
  return cells.map((cell, index) => (index === 0 ? cell.padEnd(24) : cell.padStart(11))).join('');
}
