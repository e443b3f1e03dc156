import { expect, test } from 'vitest';
import { countConfirmable } from './poll.ts';

test.each([
  ['nothing', [], 0],
  [
    'all taken',
    [
      { id: 1, through: 1 },
      { id: 2, through: 2 },
    ],
    2,
  ],
  ['the first is not', [{ id: 1 }, { id: 2, through: 2 }], 0],
  ['one in the middle is not', [{ id: 1, through: 1 }, { id: 2 }, { id: 3, through: 3 }], 1],
  ['a burst around it stays whole', [{ id: 1, through: 3 }, { id: 2 }, { id: 3, through: 3 }], 0],
  [
    'a burst is whole',
    [
      { id: 1, through: 3 },
      { id: 2, through: 2 },
      { id: 3, through: 3 },
    ],
    3,
  ],
  [
    'ids that begin anew lower',
    [
      { id: 900, through: 900 },
      { id: 5, through: 5 },
    ],
    2,
  ],
])('%s', (_, pending, expected) => {
  expect(countConfirmable(pending)).toBe(expected);
});
