import { randomOf } from './random.ts';

/** Mistakes that are planted from the outside, to see that the checker finds them. */
export const plants = [
  'early-confirmation',
  'counter-reset',
  'watermark-by-time',
  'endless-lease',
  'vector-kept',
] as const;
export type Plant = (typeof plants)[number];

export interface Plan {
  seed: number;
  /** How long people type and things break; then everything is mended and comes to rest. */
  milliseconds: number;
  plant: Plant | undefined;
}

/** How the memory is set for the run. Small numbers make many summaries. */
export interface MemorySettings {
  historyLimit: number;
  threshold: number;
  newMessagesLimit: number;
}

export function memorySettings(seed: number): MemorySettings {
  const random = randomOf(seed, 'memory settings');
  return {
    historyLimit: random.pick([2, 4, 8]),
    threshold: random.pick([6, 10, 16]),
    newMessagesLimit: random.pick([5, 12, 30]),
  };
}
