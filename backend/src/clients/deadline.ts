/** A signal that aborts with the caller's or when the time is up, whichever comes first. */
export interface Deadline {
  signal: AbortSignal;
  /** Moves the end (in `performance.now()` time). */
  extendTo: (end: number) => void;
  /** Must be called in the end: it takes the listener off the caller's signal. */
  stop: () => void;
}

export function startDeadline(end: number, caller: AbortSignal): Deadline {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const abortAt = (time: number) => setTimeout(abort, Math.max(0, time - performance.now()));
  let timer = abortAt(end);
  caller.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    extendTo(later) {
      clearTimeout(timer);
      timer = abortAt(later);
    },
    stop() {
      clearTimeout(timer);
      caller.removeEventListener('abort', abort);
    },
  };
}
