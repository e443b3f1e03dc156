/**
 * The seconds a provider asks to be left alone for (`retry-after-ms`, or `retry-after` in seconds or
 * as a date), never negative. `undefined` where it does not say, or not in a form that can be read.
 */
export function retryAfterSeconds(headers: Headers): number | undefined {
  const milliseconds = headers.get('retry-after-ms');
  const text = headers.get('retry-after');
  if (milliseconds !== null) return atLeastZero(Number.parseFloat(milliseconds) / 1000);
  if (text === null) return undefined;
  const seconds = Number.parseFloat(text);
  return atLeastZero(Number.isNaN(seconds) ? (Date.parse(text) - Date.now()) / 1000 : seconds);
}

function atLeastZero(seconds: number): number | undefined {
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}
