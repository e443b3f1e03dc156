import { ConfigError } from './config.ts';
import { asAppError } from './errors.ts';
import { StartError } from './start-error.ts';
import { onStopSignal } from './stop-signals.ts';

/**
 * Runs a process's entry. What it returns is stopped on Ctrl-C and SIGTERM. A failure that its
 * owner can mend is printed as the lines that say so, any other whole; both end with status 1.
 */
export async function runEntry(
  start: () => Promise<{ stop(): Promise<void> } | void>,
): Promise<void> {
  const started = start();
  let isStopping = false;
  onStopSignal(async () => {
    isStopping = true;
    await (await started.catch(() => undefined))?.stop();
  });
  try {
    await started;
  } catch (error) {
    // The signal may have reached a program that the start had just spawned.
    if (isStopping) return;
    console.error(explain(error));
    process.exit(1);
  }
}

function explain(error: unknown): unknown {
  if (error instanceof ConfigError || error instanceof StartError || isUsageError(error)) {
    return error.message;
  }
  if (asAppError(error).code === 'database_unavailable') {
    const reason = error instanceof Error ? error.message || String(error) : String(error);
    return `DATABASE_URL: the database cannot be reached (${reason}); check that it runs and that the address is right.`;
  }
  return error;
}

/** parseArgs says itself what it does not know. */
function isUsageError(error: unknown): error is Error {
  return (
    error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_')
  );
}
