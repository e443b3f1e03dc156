import { vi } from 'vitest';

/** Tries an assertion until it holds. The bound is for a machine that is busy with other things. */
export async function eventually(
  holds: () => void | Promise<void>,
  withinMs = 20_000,
): Promise<void> {
  await vi.waitFor(holds, { timeout: withinMs, interval: 25 });
}
