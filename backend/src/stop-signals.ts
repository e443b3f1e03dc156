import { reasonOf } from './start-error.ts';

/** npm and other runners pass on the Ctrl-C that the terminal gave us already: still the same one. */
const SAME_SIGNAL_MS = 500;

/**
 * On SIGINT, SIGTERM or SIGHUP (the terminal was closed) calls `stop` once and exits: 0 when it
 * resolved, 1 when it rejected. A further signal exits at once with 1.
 */
export function onStopSignal(stop: () => Promise<void>): void {
  let askedAt: number | undefined;
  const onSignal = () => {
    if (askedAt !== undefined) {
      if (Date.now() - askedAt > SAME_SIGNAL_MS) process.exit(1);
      return;
    }
    askedAt = Date.now();
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`The stop failed: ${reasonOf(error)}\n`);
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal);
}
