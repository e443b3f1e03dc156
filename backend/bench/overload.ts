import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OverloadOrder, OverloadResult } from './overload-process.ts';
import { apiKey, startEntry, startServing } from './processes.ts';
import type { Server } from './server.ts';
import { openFiles, residentMegabytes } from './usage.ts';

/** Few enough for any machine, so that the limit is what is measured, not the processor. */
const LIMIT = 48;
const MODEL_MS = 300;
/** Callers who come back when they are told to, as our bot does. */
const TIMES_BEYOND = 8;
/** Both loads take turns, so that what else the machine does slows both. */
const SLICE_SECONDS = 10;
/** What no machine of two cores carries. */
const CALLERS_BEYOND_THE_MACHINE = 1_000;

/**
 * Load beyond what a process takes on: first beyond its MAX_CONCURRENT_TURNS, for `seconds` and as
 * long at it, then, with the default limit, beyond the machine. What it takes on should be answered as fast as ever,
 * the rest refused politely, and nothing be left behind.
 */
export async function runOverload(server: Server, seconds: number): Promise<object> {
  const model = await startServing('model');
  const { url } = await server.createDatabase('overload');
  const settings = {
    DATABASE_URL: url,
    LLM_BASE_URL: `${model.url}/${MODEL_MS}/v1`,
    LLM_MODEL: 'bench',
    SUMMARY_MODE: 'off',
    // So that prompts are soon as long as they get.
    CONTEXT_TOKEN_BUDGET: '2000',
  };
  const usual = Math.min(30, seconds);
  try {
    const limited = await startApi({ ...settings, MAX_CONCURRENT_TURNS: String(LIMIT) });
    await limited.load(LIMIT, 5);
    const before = await limited.held(server, url);
    const sampling = limited.sampleMemory();
    const [at, beyond] = [nothing(), nothing()];
    const rounds = Math.max(1, Math.round(seconds / SLICE_SECONDS));
    for (let round = 0; round < rounds; round += 1) {
      add(at, await limited.load(LIMIT, SLICE_SECONDS));
      add(beyond, await limited.load(LIMIT * TIMES_BEYOND, SLICE_SECONDS));
    }
    const memory = sampling.stop();
    await sleep(3_000);
    const after = await limited.held(server, url);
    await limited.stop();

    const free = await startApi(settings);
    await free.load(LIMIT, 5);
    const machine = await free.load(CALLERS_BEYOND_THE_MACHINE, usual);
    await free.stop();

    const report = {
      model_ms: MODEL_MS,
      limit: LIMIT,
      seconds_of_each: rounds * SLICE_SECONDS,
      at_limit: summarise(at, rounds * SLICE_SECONDS),
      beyond_limit: summarise(beyond, rounds * SLICE_SECONDS),
      memory,
      median_beyond_of_at: ratio(beyond, at, 0.5),
      p95_beyond_of_at: ratio(beyond, at, 0.95),
      left_behind: { before, after },
      beyond_machine: { callers: CALLERS_BEYOND_THE_MACHINE, ...summarise(machine, usual) },
    };
    console.log(JSON.stringify(report, rounded, 2));
    return report;
  } finally {
    await model.stop();
  }
}

async function startApi(variables: Record<string, string>) {
  const api = await startEntry('api', variables);
  return {
    load: (callers: number, seconds: number) => runLoad({ url: api.url, apiKey, callers, seconds }),
    /** What a leak would add to. */
    async held(server: Server, databaseUrl: string) {
      const { rows } = await server.admin.query<{ count: number }>(
        `select count(*)::integer as count from pg_stat_activity
          where datname = $1 and application_name like 'llm-bot-core%'`,
        [new URL(databaseUrl).pathname.slice(1)],
      );
      return { open_files: openFiles(api.pid), database_connections: rows[0]?.count };
    },
    /** Megabytes; the slope is over the second half, when heap and pools have grown to their size. */
    sampleMemory() {
      const samples: { minutes: number; megabytes: number }[] = [];
      const startedAt = performance.now();
      const timer = setInterval(() => {
        const minutes = (performance.now() - startedAt) / 60_000;
        samples.push({ minutes, megabytes: residentMegabytes(api.pid) });
      }, 1_000);
      return {
        stop() {
          clearInterval(timer);
          const half = samples.slice(Math.floor(samples.length / 2));
          return {
            rss_megabytes_at_most: Math.max(...samples.map(({ megabytes }) => megabytes)),
            rss_megabytes_a_minute: slopeOf(half),
          };
        },
      };
    },
    stop: api.stop,
  };
}

async function runLoad(order: OverloadOrder): Promise<OverloadResult> {
  const child = fork(join(import.meta.dirname, 'overload-process.ts'));
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  try {
    child.send(order);
    const [result]: OverloadResult[] = await once(child, 'message');
    if (result === undefined || result.failure !== undefined) {
      throw new Error(`The load generator failed: ${result?.failure}`);
    }
    return result;
  } finally {
    kill();
    process.off('exit', kill);
  }
}

function nothing(): OverloadResult {
  return { accepted: [], refused: 0, other: 0 };
}

function add(sum: OverloadResult, { accepted, refused, other }: OverloadResult): void {
  for (const milliseconds of accepted) sum.accepted.push(milliseconds);
  sum.refused += refused;
  sum.other += other;
}

function summarise({ accepted, refused, other }: OverloadResult, seconds: number) {
  return {
    turns_per_second: accepted.length / seconds,
    median_ms: quantile(accepted, 0.5),
    p95_ms: quantile(accepted, 0.95),
    p99_ms: quantile(accepted, 0.99),
    refused_share: refused / (accepted.length + refused + other),
    impolite: other,
  };
}

function ratio(one: OverloadResult, other: OverloadResult, share: number): number {
  return quantile(one.accepted, share) / quantile(other.accepted, share);
}

function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
}

/** Least squares. */
function slopeOf(samples: { minutes: number; megabytes: number }[]): number {
  const mean = (pick: (sample: (typeof samples)[number]) => number) =>
    samples.reduce((sum, sample) => sum + pick(sample), 0) / samples.length;
  const [x, y] = [mean(({ minutes }) => minutes), mean(({ megabytes }) => megabytes)];
  const spread = mean(({ minutes }) => (minutes - x) ** 2);
  return mean(({ minutes, megabytes }) => (minutes - x) * (megabytes - y)) / spread;
}

function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(4)) : value;
}
