/** Lets the same thing through at most once in a while. */
export interface Throttle {
  allow(key: string, everyMs: number): boolean;
}

/** How many keys are remembered; the oldest are forgotten first. */
const REMEMBERED = 10_000;

export function createThrottle(now: () => number = Date.now): Throttle {
  const lastAt = new Map<string, number>();
  return {
    allow(key, everyMs) {
      if (now() - (lastAt.get(key) ?? -Infinity) < everyMs) return false;
      lastAt.delete(key);
      lastAt.set(key, now());
      const [oldest] = lastAt.keys();
      if (lastAt.size > REMEMBERED && oldest !== undefined) lastAt.delete(oldest);
      return true;
    },
  };
}
