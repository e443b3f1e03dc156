/** Jobs of one lane run one at a time, in the order they came; different lanes run in parallel. */
export interface Lanes {
  run<T>(lane: string, job: () => Promise<T>): Promise<T>;
}

export function createLanes(): Lanes {
  const tails = new Map<string, Promise<unknown>>();
  return {
    run(lane, job) {
      const before = tails.get(lane) ?? Promise.resolve();
      const result = before.then(job);
      const tail = result
        .catch(() => {})
        .then(() => {
          if (tails.get(lane) === tail) tails.delete(lane);
        });
      tails.set(lane, tail);
      return result;
    },
  };
}
