import { expect, test } from 'vitest';
import { retryAfterSeconds } from './retry-after.ts';

test.each([
  [{}, undefined],
  [{ 'retry-after': '7' }, 7],
  [{ 'retry-after': '-7' }, 0],
  [{ 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }, 0],
  [{ 'retry-after': 'soon' }, undefined],
  [{ 'retry-after': '7', 'retry-after-ms': '250' }, 0.25],
])('%j asks for %s seconds', (headers, expected) => {
  expect(retryAfterSeconds(new Headers(headers as Record<string, string>))).toBe(expected);
});

test('a date asks for the time until then', () => {
  const date = new Date(Date.now() + 60_000).toUTCString();
  const seconds = retryAfterSeconds(new Headers({ 'retry-after': date }));
  expect(seconds).toBeGreaterThan(50);
  expect(seconds).toBeLessThanOrEqual(60);
});
