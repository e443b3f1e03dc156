import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { StatementCounts } from './count-statements.ts';
import type { LoadOrder } from './load-process.ts';
import type { startLoad } from './processes.ts';
import type { Server } from './server.ts';
import { postgresSeconds, processSeconds, residentMegabytes } from './usage.ts';

/** Something that makes turns, with what of it is measured. */
export interface Target {
  name: string;
  load: ReturnType<typeof startLoad>;
  to: LoadOrder['target'];
  /** The processes that do the server's work: for bare statements the driver itself. */
  serverPids: [number, ...number[]];
  /** Its own database; undefined where it has none. */
  client: Client | undefined;
  statements?: () => Promise<StatementCounts>;
  /** Before a run: back to where every run begins. */
  prepare?: () => Promise<void>;
  /** Work that the turns leave for later, and that is theirs all the same. */
  settle?: () => Promise<void>;
}

/** One run. Times in milliseconds, the rest for each turn; CPU seconds for 1,000. */
export interface Run {
  turns_per_second: number;
  median_ms: number;
  p95_ms: number;
  p99_ms: number;
  server_cpu_seconds: number;
  database_cpu_seconds: number;
  wal_bytes: number;
  table_bytes: number;
  round_trips: number;
  other_statements: number;
  resident_mb: number;
}

export async function measure(
  server: Server,
  target: Target,
  order: Omit<LoadOrder, 'target'>,
): Promise<Run> {
  await target.prepare?.();
  const before = await snapshot(server, target);
  const { seconds, times } = await target.load.run({ ...order, target: target.to });
  await target.settle?.();
  // A backend of the run that is just ending would be counted twice or not at all.
  await sleep(100);
  const after = await snapshot(server, target);
  const sorted = times.toSorted((a, b) => a - b);
  const perTurn = (of: (at: Snapshot) => number) => (of(after) - of(before)) / order.turns;
  return {
    turns_per_second: order.turns / seconds,
    median_ms: percentile(sorted, 0.5),
    p95_ms: percentile(sorted, 0.95),
    p99_ms: percentile(sorted, 0.99),
    server_cpu_seconds: perTurn((at) => at.serverSeconds) * 1_000,
    database_cpu_seconds: perTurn((at) => at.databaseSeconds) * 1_000,
    wal_bytes: perTurn((at) => at.walBytes),
    table_bytes: perTurn((at) => at.tableBytes),
    round_trips: perTurn((at) => at.statements.turn),
    other_statements: perTurn((at) => at.statements.other),
    resident_mb: residentMegabytes(target.serverPids[0]),
  };
}

export function percentile(sorted: number[], share: number): number {
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}

export function median(numbers: number[]): number {
  return percentile(
    numbers.toSorted((a, b) => a - b),
    0.5,
  );
}

/** Of each figure the median over the repetitions. */
export function medians<Figures extends object>(runs: Figures[]): Figures {
  const [first] = runs;
  if (first === undefined) throw new Error('nothing was measured');
  const figures: [string, number][] = Object.keys(first).map((name) => [
    name,
    median(runs.map((run) => Number(Object.entries(run).find(([key]) => key === name)?.[1]))),
  ]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.fromEntries(figures) as Figures;
}

interface Snapshot {
  serverSeconds: number;
  databaseSeconds: number;
  walBytes: number;
  tableBytes: number;
  statements: StatementCounts;
}

async function snapshot(server: Server, target: Target): Promise<Snapshot> {
  const { rows } = await server.admin.query(
    `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as wal`,
  );
  const size = await target.client?.query(
    `select coalesce(sum(pg_total_relation_size(oid)), 0)::float8 as bytes
      from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`,
  );
  return {
    serverSeconds: target.serverPids.reduce((sum, pid) => sum + processSeconds(pid), 0),
    databaseSeconds: postgresSeconds(server.backendPid) ?? Number.NaN,
    walBytes: rows[0].wal,
    tableBytes: size?.rows[0].bytes ?? 0,
    statements: (await target.statements?.()) ?? { turn: 0, other: 0 },
  };
}
