/** npm and other runners pass on the Ctrl-C that the terminal gave us already: still the same one. */
const SAME_SIGNAL_MS = 500;

/**
 * Calls `stop` on SIGINT, SIGTERM, SIGHUP, or when the process that forked this one is gone.
 * A further signal exits at once with 1.
 */
export function onStopSignal(stop: () => void): void {
  let askedAt: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (askedAt !== undefined && Date.now() - askedAt > SAME_SIGNAL_MS) process.exit(1);
      askedAt ??= Date.now();
      stop();
    });
  }
  process.once('disconnect', stop);
}
