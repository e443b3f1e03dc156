import { expect, test, vi } from 'vitest';
import { checkAll } from './checks/all.ts';
import { runChaos } from './run-chaos.ts';
import { tamper } from './tampered.ts';

vi.setConfig({ testTimeout: 600_000 });

test('the whole product keeps its promises while it is broken at random', async () => {
  const { story, counts, evidence } = await runChaos({
    seed: 20_261_121,
    milliseconds: 12_000,
    plant: undefined,
  });
  expect(story).toBe('');
  console.info(counts);
  // The checks would have seen it.
  for (const [rule, tampered] of tamper(evidence)) {
    expect(checkAll(tampered).map((violation) => violation.rule)).toContain(rule);
  }
});

test('a planted mistake is found, and shown', async () => {
  const { violations, story } = await runChaos({
    seed: 17,
    milliseconds: 60_000,
    plant: 'counter-reset',
  });
  expect(violations.map(({ rule }) => rule)).toContain('exact counter, growing watermark');
  expect(story).toMatch(/says \d+ messages since its summary, and has \d+\n.* stored: turn/s);
});
