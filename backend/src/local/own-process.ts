import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { environmentWith } from '../config.ts';
import type { Logger } from '../logger.ts';

export interface OwnProcess {
  child: ChildProcess;
  close(): Promise<void>;
}

/**
 * Runs another part of the product beside the API, as a process of its own. Its log joins ours, its
 * complaints go to stderr. It ends with us, however we end; when it ends before, the API goes on.
 */
export function startOwnProcess(
  { name, entry, variables }: { name: string; entry: string; variables: Record<string, string> },
  { logFile, logger }: { logFile: string | undefined; logger: Logger },
): OwnProcess {
  const path = fileURLToPath(new URL(`../../../${entry}`, import.meta.url));
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path], {
    env: environmentWith(variables),
    // A terminal's Ctrl-C is for us: it is told to stop while the API still answers it.
    detached: true,
    // Over the last one it hears when we are gone, even if we could not say so.
    stdio: ['ignore', logFile === undefined ? 'inherit' : openSync(logFile, 'a'), 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit');
  let stopping = false;
  void exited.then(([code, signal]: unknown[]) => {
    if (!stopping) logger.error({ code, signal }, `${name} has ended; the API goes on`);
  });
  return {
    child,
    async close() {
      stopping = true;
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await exited;
    },
  };
}
