import { fillChats, sentences, summarizeAll } from './fill.ts';
import { fillFloor, floorTables } from './floor.ts';
import { startIndexer } from './indexer.ts';
import { measure, median, medians } from './measure.ts';
import type { Run, Target } from './measure.ts';
import { apiKey, startEntry, startLoad, startServing } from './processes.ts';
import { migrateToLatest } from '#src/db/migrate.ts';
import type { Server } from './server.ts';

const atOnce = [1, 16, 64] as const;
const SLOW_MODEL_MS = 300;

export interface TurnOptions {
  repetitions: number;
  warmUpTurns: number;
  /** Also with recall and its indexing, which takes longer than all the rest. */
  recall: boolean;
  /** Of one run, by how many are at once. */
  turns: Record<(typeof atOnce)[number], number>;
  chats: number;
  /** Each chat has so many, all but the newest eight of them summarised. */
  messages: number;
  slowTurns: number;
}

export const quick: TurnOptions = {
  repetitions: 3,
  warmUpTurns: 1_000,
  recall: false,
  turns: { 1: 300, 16: 1_500, 64: 1_500 },
  chats: 300,
  messages: 24,
  slowTurns: 0,
};

export const thorough: TurnOptions = {
  repetitions: 3,
  warmUpTurns: 2_000,
  recall: true,
  turns: { 1: 500, 16: 3_000, 64: 3_000 },
  chats: 750,
  messages: 48,
  slowTurns: 1_200,
};

/** By target and how many were at once. */
export type Runs = Record<string, Record<string, Run[]>>;

/** Every target once in each repetition, so that what disturbs the machine disturbs all of them. */
export async function runTurns(server: Server, options: TurnOptions): Promise<Runs> {
  const { targets, slow, stop } = await startTargets(server, options);
  const runs: Runs = {};
  let from = 0;
  const run = async (target: Target, key: string, concurrency: number, turns: number) => {
    const order = { concurrency, turns, chats: options.chats, prefix: 'chat', from };
    from += turns;
    const measured = await measure(server, target, order);
    ((runs[target.name] ??= {})[key] ??= []).push(measured);
  };
  const runEach = async (key: string, concurrency: number, turns: number) => {
    for (const target of targets) {
      await run(target, key, concurrency, Math.round(shareOf(target.name) * turns));
    }
  };
  try {
    await runEach('warm-up', 16, options.warmUpTurns);
    await server.admin.query('checkpoint');
    // Until the engine has compiled and the database planned what is hot; a turn that meets no other
    // takes its own way. Fewer measure the compiler.
    for (const concurrency of [16, 1]) await runEach('warm-up', concurrency, options.warmUpTurns);
    for (let repetition = 1; repetition <= options.repetitions; repetition += 1) {
      process.stderr.write(`repetition ${repetition} of ${options.repetitions}\n`);
      for (const concurrency of atOnce) {
        await runEach(String(concurrency), concurrency, options.turns[concurrency]);
      }
    }
    for (const concurrency of [16, 64]) {
      if (slow !== undefined) await run(slow, String(concurrency), concurrency, options.slowTurns);
    }
  } finally {
    await stop();
  }
  return runs;
}

/** Of the turns of a run: more of what is soon done, fewer of what is indexed as well. */
function shareOf(name: string): number {
  if (name === 'floor' || name === 'constant') return 2;
  return name === 'recall_on' ? 1 / 3 : 1;
}

async function startTargets(server: Server, { chats, messages, recall, slowTurns }: TurnOptions) {
  const started: { stop: () => Promise<void> }[] = [];
  const keep = <Part extends { stop: () => Promise<void> }>(part: Part): Part => {
    started.push(part);
    return part;
  };
  const load = keep(startLoad());
  const driver = keep(startLoad());
  const model = keep(await startServing('model'));
  const constant = keep(await startServing('constant'));

  const floor = await server.createDatabase('floor');
  await floor.client.query(floorTables);
  await floor.client.query(fillFloor, [chats, messages, sentences]);
  await floor.client.query('vacuum analyze');

  const api = async (suffix: string, withRecall: boolean, delay: number) => {
    const database = await server.createDatabase(suffix);
    await migrateToLatest(database.url);
    await fillChats(database.client, { chats, messages, prefix: 'chat' });
    const settings = {
      DATABASE_URL: database.url,
      LLM_BASE_URL: `${model.url}/${delay}/v1`,
      LLM_API_KEY: 'none',
      LLM_MODEL: 'bench',
      RAG_ENABLED: String(withRecall),
    };
    const process = keep(await startEntry('api', settings));
    const indexer = withRecall ? keep(await startIndexer(settings, database.client)) : undefined;
    const settle = async () => await indexer?.settle();
    const prepare = async () => {
      await summarizeAll(database.client);
      await settle();
    };
    await prepare();
    await database.client.query('vacuum analyze');
    const target: Target = {
      name: '',
      load,
      to: { kind: 'http', url: process.url, apiKey },
      serverPids: indexer === undefined ? [process.pid] : [process.pid, indexer.pid],
      client: database.client,
      statements: process.statements,
      prepare,
      settle,
    };
    return { ...target, url: database.url };
  };
  const on = recall ? await api('recall_on', true, 0) : undefined;
  const off = await api('recall_off', false, 0);
  const slow = slowTurns > 0 ? await api('slow', true, SLOW_MODEL_MS) : undefined;
  const statements: Target = {
    ...off,
    load: driver,
    to: { kind: 'statements', databaseUrl: off.url, recall: false },
    serverPids: [driver.pid],
    statements: undefined,
  };
  const targets: Target[] = [
    {
      name: 'floor',
      load: driver,
      to: { kind: 'floor', databaseUrl: floor.url, recall: false },
      serverPids: [driver.pid],
      client: floor.client,
    },
    {
      name: 'constant',
      load,
      to: { kind: 'http', url: constant.url, apiKey },
      serverPids: [constant.pid],
      client: undefined,
    },
    { ...statements, name: 'statements' },
    { ...off, name: 'recall_off' },
    ...(on === undefined ? [] : [{ ...on, name: 'recall_on' }]),
  ];
  const stop = async () => {
    for (const part of started.toReversed()) await part.stop();
  };
  return { targets, slow: slow && { ...slow, name: 'slow_model' }, stop };
}

/** A figure of one target as a share of the floor's in the same repetition; the median of these. */
export function ofFloor(runs: Runs, name: string, atOnceKey: string, of: (run: Run) => number) {
  const floor = runs.floor?.[atOnceKey] ?? [];
  const own = runs[name]?.[atOnceKey] ?? [];
  return median(own.map((run, index) => of(run) / of(floor[index] ?? run)));
}

export function summarize(runs: Runs): Record<string, Record<string, Run>> {
  return Object.fromEntries(
    Object.entries(runs).map(([name, byConcurrency]) => [
      name,
      Object.fromEntries(
        Object.entries(byConcurrency)
          .filter(([key]) => key !== 'warm-up')
          .map(([key, measured]) => [key, medians(measured)]),
      ),
    ]),
  );
}
