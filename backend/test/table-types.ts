import { fileURLToPath } from 'node:url';
import { runProgram } from '#src/local/run-program.ts';

const generator = fileURLToPath(new URL('cli/bin.js', import.meta.resolve('kysely-codegen')));
const backend = fileURLToPath(new URL('..', import.meta.url));

/** Runs kysely-codegen on a migrated database; rejects where it reports a difference. */
export async function generateTableTypes(databaseUrl: string, ...flags: string[]): Promise<void> {
  await runProgram(process.execPath, [generator, `--url=${databaseUrl}`, ...flags], {
    cwd: backend,
  });
}
