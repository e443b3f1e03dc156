import { seeded } from '#test/seeded-random.ts';

/** Chance, always the same for the same seed. */
export interface Random {
  between(low: number, high: number): number;
  /** `low` and `high` included. */
  whole(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** Picks in proportion to each item's weight. */
  weighted<T extends { weight: number }>(items: readonly T[]): T;
}

/** Everyone who decides something has a stream of their own: what others do does not shift it. */
export function randomOf(seed: number, who: string): Random {
  const next = seeded(
    Buffer.from(who).reduce((hash, byte) => Math.imul(hash ^ byte, 16_777_619), seed),
  );
  const random: Random = {
    between: (low, high) => low + next() * (high - low),
    whole: (low, high) => Math.floor(low + next() * (high - low + 1)),
    chance: (probability) => next() < probability,
    pick: (items) => get(items, Math.floor(next() * items.length)),
    weighted(items) {
      let rest = next() * items.reduce((sum, { weight }) => sum + weight, 0);
      return items.find(({ weight }) => (rest -= weight) < 0) ?? get(items, items.length - 1);
    },
  };
  return random;
}

function get<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error('there is nothing to pick from');
  return item;
}
