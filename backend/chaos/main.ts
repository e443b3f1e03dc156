import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { runEntry } from '#src/run-entry.ts';
import { StartError } from '#src/start-error.ts';
import { onStopSignal } from '#src/stop-signals.ts';
import { plants } from './plan.ts';
import type { Plan } from './plan.ts';
import { runChaos } from './run-chaos.ts';

/** `pnpm chaos --seed 7 --minutes 3 [--plant counter-reset]`. Ends with status 1 where a promise was broken. */
async function main(): Promise<void> {
  const plan = readPlan();
  const planted = plan.plant === undefined ? '' : `, planted: ${plan.plant}`;
  console.log(`seed ${plan.seed}, ${plan.milliseconds / 60_000} minutes${planted}`);
  const { violations, story, counts, logs } = await runChaos(plan);
  console.log(counts);
  if (violations.length === 0) return console.log('no violation');
  const folder = path.join(tmpdir(), `llm-bot-core-chaos-${plan.seed}-${process.pid}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(logs)) {
    writeFileSync(path.join(folder, `${name}.log`), text);
  }
  console.log(`\n${story}\n`);
  console.log(`${violations.length} violations with seed ${plan.seed}; all logs are in ${folder}`);
  process.exitCode = 1;
}

function readPlan(): Plan {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      minutes: { type: 'string', default: '3' },
      plant: { type: 'string' },
    },
  });
  const plant = plants.find((name) => name === values.plant);
  if (values.plant !== undefined && plant === undefined) {
    throw new StartError(`--plant: must be one of ${plants.join(', ')}`);
  }
  const seed = Number(values.seed);
  const milliseconds = Number(values.minutes) * 60_000;
  if (!Number.isInteger(seed)) throw new StartError('--seed: must be a whole number');
  if (!(milliseconds > 0)) throw new StartError('--minutes: must be a number above 0');
  return { seed, milliseconds, plant };
}

// What was started ends with us.
onStopSignal(() => Promise.reject(new Error('ended before its end')));
await runEntry(main);
