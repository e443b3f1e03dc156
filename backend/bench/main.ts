import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { loadConfig } from '#src/config.ts';
import { runEntry } from '#src/run-entry.ts';
import { StartError } from '#src/start-error.ts';
import { onStopSignal } from '#src/stop-signals.ts';
import { runGrowth } from './growth.ts';
import { runOverload } from './overload.ts';
import { printTurns, reportTurns } from './report-turns.ts';
import { runRecall } from './recall.ts';
import { openServer } from './server.ts';
import type { Server } from './server.ts';
import { runSummaries } from './summaries.ts';
import { quick, runTurns, thorough } from './turn.ts';

type Bench = (server: Server, isQuick: boolean, minutes?: number) => Promise<object>;

const benches: Record<string, Bench> = {
  async turn(server, isQuick) {
    const report = reportTurns(await runTurns(server, isQuick ? quick : thorough));
    printTurns(report);
    return report;
  },
  overload: (server, isQuick, minutes) =>
    runOverload(server, minutes === undefined ? (isQuick ? 10 : 60) : minutes * 30),
  growth: (server, isQuick) => runGrowth(server, isQuick),
  summaries: (server, isQuick) => runSummaries(server, isQuick ? 200 : 2_000),
  recall: (server, isQuick) => runRecall(server, isQuick ? 200_000 : 2_000_000),
};

let server: Server | undefined;
// Half a run is worth nothing: the processes it started end with it, and its databases go.
onStopSignal(async () => server?.close());

/**
 * `pnpm bench [turn|growth|overload|recall|summaries] [--quick] [--json FILE]`; `--minutes 20` makes a
 * soak of overload. The file keeps the newest run of each.
 */
await runEntry(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      minutes: { type: 'string' },
    },
  });
  const [name = 'turn'] = positionals;
  const bench = benches[name];
  if (bench === undefined) {
    throw new StartError(`There is no benchmark ${name}; take ${Object.keys(benches).join(', ')}.`);
  }
  const [load_average] = loadavg();
  server = await openServer(loadConfig().databaseUrl);
  try {
    const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
    const result = await bench(server, values.quick, minutes);
    if (values.json !== undefined) {
      const [cpu] = cpus();
      const about = {
        measured_at: new Date().toISOString(),
        machine: `${cpus().length} x ${cpu?.model}`,
        load_average,
        node: process.version,
        database: server.description,
        quick: values.quick,
      };
      const others = existsSync(values.json) ? JSON.parse(readFileSync(values.json, 'utf8')) : {};
      const all = { ...others, [name]: { ...about, ...result } };
      writeFileSync(values.json, `${JSON.stringify(all, rounded, 2)}\n`);
    }
  } finally {
    await server.close();
  }
});

function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(4)) : value;
}
