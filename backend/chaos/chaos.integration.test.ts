import { expect, test, vi } from 'vitest';
import { runChaos } from './run-chaos.ts';

vi.setConfig({ testTimeout: 600_000 });

test('the whole product keeps its promises while it is broken at random', async () => {
  const { story, counts } = await runChaos({
    seed: 20_261_121,
    milliseconds: 12_000,
    plant: undefined,
  });
  expect(story).toBe('');
  console.info(counts);
});

test('a planted mistake is found, and shown', async () => {
  const { violations, story } = await runChaos({
    seed: 17,
    milliseconds: 60_000,
    plant: 'counter-reset',
  });
  expect(violations.map(({ rule }) => rule)).toContain('exact counter, growing watermark');
  expect(story).toMatch(/says 0 messages since its summary, and has \d+\n.* stored: version/s);
});
