import { setTimeout as sleep } from 'node:timers/promises';
import { startEntry } from '../../telegram-bot/test/processes.ts';
import type { Running } from '../../telegram-bot/test/processes.ts';

/** One of our processes, started again whenever it ends, as a supervisor would. */
export interface Unit {
  name: string;
  /** Takes it down with SIGKILL; it comes back after `downMs`. */
  kill(downMs: number): Promise<void>;
  /** SIGSTOP, and SIGCONT after `ms`, or when `mend` is called. */
  pause(ms: number): Promise<void>;
  /** Whatever is paused goes on; whatever is down comes back at once. */
  mend(): void;
  /** All that its processes printed. */
  output(): string;
  stop(): Promise<void>;
}

const RESTART_AFTER_MS = 300;

export function startUnit(name: string, file: string, env: Record<string, string>): Unit {
  const outputs: Running[] = [];
  let running = start();
  let downMs = RESTART_AFTER_MS;
  let stopping = false;
  let mended = new AbortController();
  const nap = (ms: number) => sleep(ms, undefined, { signal: mended.signal }).catch(() => {});
  const supervising = supervise();

  function start(): Running {
    const next = startEntry(file, env);
    outputs.push(next);
    return next;
  }

  async function supervise(): Promise<void> {
    for (;;) {
      await running.exited;
      if (stopping) return;
      await nap(downMs);
      downMs = RESTART_AFTER_MS;
      if (stopping) return;
      running = start();
    }
  }

  const atExit = () => running.child.kill('SIGKILL');
  process.once('exit', atExit);
  return {
    name,
    async kill(ms) {
      downMs = ms;
      await running.crash();
    },
    async pause(ms) {
      const paused = running;
      paused.child.kill('SIGSTOP');
      await nap(ms);
      paused.child.kill('SIGCONT');
    },
    mend() {
      mended.abort();
      mended = new AbortController();
    },
    output: () => outputs.map((run) => run.output()).join(`\n--- ${name} starts again ---\n`),
    async stop() {
      stopping = true;
      process.off('exit', atExit);
      mended.abort();
      await running.crash();
      await supervising;
    },
  };
}
