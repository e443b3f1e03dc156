import { AppError } from '#src/errors.ts';
import type { ClosableModel } from './model.ts';

export interface CircuitOptions {
  /** Failures in a row after which the model is left alone. */
  failures: number;
  pauseMs: number;
}

/**
 * A model that is not asked for a while when it keeps failing: calls then reject at once with
 * `model_paused`. After the pause one call tries; its success opens the way for all, its failure
 * begins the next pause.
 */
export function withCircuit(
  model: ClosableModel,
  { failures, pauseMs }: CircuitOptions,
): ClosableModel {
  let failed = 0;
  let pausedUntil = 0;
  return {
    name: model.name,
    close: () => model.close(),
    async complete(prompt, options) {
      const wait = pausedUntil - performance.now();
      if (wait > 0) throw paused(model.name, wait);
      // Whoever comes while this one tries is told to wait.
      if (failed >= failures) pausedUntil = performance.now() + pauseMs;
      try {
        const completion = await model.complete(prompt, options);
        failed = 0;
        pausedUntil = 0;
        return completion;
      } catch (error) {
        if (!options.signal.aborted) failed += 1;
        if (failed >= failures) pausedUntil = performance.now() + pauseMs;
        throw error;
      }
    },
  };
}

function paused(name: string, waitMs: number): AppError {
  return new AppError('model_paused', `${name} kept failing and is left alone for a while.`, {
    retryAfterSeconds: Math.ceil(waitMs / 1_000),
  });
}
