import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { loadConfig } from '#src/config.ts';
import { runEntry } from '#src/run-entry.ts';
import { StartError } from '#src/start-error.ts';
import { printTurns, reportTurns } from './report-turns.ts';
import { runRecall } from './recall.ts';
import { openServer } from './server.ts';
import type { Server } from './server.ts';
import { quick, runTurns, thorough } from './turn.ts';

type Bench = (server: Server, isQuick: boolean) => Promise<object>;

const benches: Record<string, Bench> = {
  async turn(server, isQuick) {
    const report = reportTurns(await runTurns(server, isQuick ? quick : thorough));
    printTurns(report);
    return report;
  },
  recall: (server, isQuick) => runRecall(server, isQuick ? 200_000 : 2_000_000),
};

/** `pnpm bench [turn|recall] [--quick] [--json FILE]`. */
await runEntry(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
  });
  const [name = 'turn'] = positionals;
  const bench = benches[name];
  if (bench === undefined) {
    throw new StartError(`There is no benchmark ${name}; take ${Object.keys(benches).join(', ')}.`);
  }
  const server = await openServer(loadConfig().databaseUrl);
  try {
    const result = await bench(server, values.quick);
    if (values.json !== undefined) {
      const [cpu] = cpus();
      const about = {
        measured_at: new Date().toISOString(),
        machine: `${cpus().length} x ${cpu?.model}`,
        node: process.version,
        database: server.description,
        quick: values.quick,
      };
      writeFileSync(values.json, `${JSON.stringify({ ...about, [name]: result }, rounded, 2)}\n`);
    }
  } finally {
    await server.close();
  }
});

function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(4)) : value;
}
