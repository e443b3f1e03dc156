import { ofFloor, summarize } from './turn.ts';
import type { Runs } from './turn.ts';

/** What a run of the turn's benchmark says: the ratios to the floor first, as a later run compares them. */
export function reportTurns(runs: Runs) {
  const figures = summarize(runs);
  const compared = (name: string) => {
    const at16 = figures[name]?.['16'];
    return {
      turns_per_second_of_floor_at_16: ofFloor(runs, name, '16', (run) => run.turns_per_second),
      turns_per_second_of_floor_at_64: ofFloor(runs, name, '64', (run) => run.turns_per_second),
      median_of_floor_at_1: ofFloor(runs, name, '1', (run) => run.median_ms),
      p99_of_floor_at_16: ofFloor(runs, name, '16', (run) => run.p99_ms),
      cpu_seconds_per_1000_turns:
        (at16?.server_cpu_seconds ?? 0) + (at16?.database_cpu_seconds ?? 0),
      cpu_of_floor: ofFloor(
        runs,
        name,
        '16',
        (run) => run.server_cpu_seconds + run.database_cpu_seconds,
      ),
      round_trips_per_turn: at16?.round_trips ?? 0,
      wal_of_floor: ofFloor(runs, name, '16', (run) => run.wal_bytes),
      wal_bytes_per_turn: at16?.wal_bytes ?? 0,
      table_bytes_per_turn: at16?.table_bytes ?? 0,
    };
  };
  return {
    recall_on: figures['recall_on'] === undefined ? undefined : compared('recall_on'),
    recall_off: compared('recall_off'),
    statements: compared('statements'),
    figures,
  };
}

export function printTurns(report: ReturnType<typeof reportTurns>): void {
  const columns: [string, number][] = [
    ['at once', 8],
    ['turns/s', 9],
    ['median', 8],
    ['p95', 8],
    ['p99', 8],
    ['CPU server', 11],
    ['database', 9],
    ['WAL', 7],
    ['table', 7],
    ['trips', 6],
    ['other', 6],
    ['RSS MB', 7],
  ];
  const line = (name: string, cells: (string | number)[]) =>
    console.log(
      name.padEnd(12) +
        cells.map((cell, i) => String(cell).padStart(columns[i]?.[1] ?? 8)).join(''),
    );
  line(
    '',
    columns.map(([title]) => title),
  );
  for (const [name, byConcurrency] of Object.entries(report.figures)) {
    for (const [atOnce, run] of Object.entries(byConcurrency)) {
      line(name, [
        atOnce,
        Math.round(run.turns_per_second),
        run.median_ms.toFixed(2),
        run.p95_ms.toFixed(2),
        run.p99_ms.toFixed(2),
        run.server_cpu_seconds.toFixed(3),
        run.database_cpu_seconds.toFixed(3),
        Math.round(run.wal_bytes),
        Math.round(run.table_bytes),
        run.round_trips.toFixed(2),
        run.other_statements.toFixed(2),
        Math.round(run.resident_mb),
      ]);
    }
  }
  console.log('times in ms; CPU seconds for 1,000 turns; bytes for one turn\n\nof the floor');
  for (const name of ['recall_on', 'recall_off', 'statements'] as const) {
    const of = report[name];
    if (of === undefined) continue;
    console.log(
      `${name.padEnd(12)} turns/s at 16 ${percent(of.turns_per_second_of_floor_at_16)}, at 64 ${percent(of.turns_per_second_of_floor_at_64)}` +
        `; median at 1 ${times(of.median_of_floor_at_1)}; p99 at 16 ${times(of.p99_of_floor_at_16)}` +
        `; CPU ${times(of.cpu_of_floor)} (${of.cpu_seconds_per_1000_turns.toFixed(2)} s); WAL ${times(of.wal_of_floor)}`,
    );
  }
}

const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
const times = (ratio: number) => `${ratio.toFixed(2)}x`;
