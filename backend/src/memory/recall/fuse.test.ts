import { expect, test } from 'vitest';
import type { RecalledMemory } from '#src/db/memory.ts';
import { fuse } from './fuse.ts';

const ranking = (...ids: string[]): RecalledMemory[] =>
  ids.map((memory_id) => ({
    memory_id,
    source: 'message',
    message_id: memory_id,
    session_id: 's',
    role: 'user',
    score: 0.123,
    created_at: '2025-05-08T10:00:00Z',
    content: `memory ${memory_id}`,
  }));

const fused = (limit: number, ...rankings: RecalledMemory[][]) =>
  fuse(rankings, limit).map(({ memory_id: id, score }) => [id, score]);

test('what both know comes before what one puts first, and nothing comes twice', () => {
  expect(fused(10, ranking('a', 'b', 'c'), ranking('d', 'b'))).toEqual([
    ['b', 0.984],
    ['a', 0.5],
    ['d', 0.5],
    ['c', 0.484],
  ]);
});

test('first in all of them scores 1; the limit holds', () => {
  expect(fused(1, ranking('a', 'b'), ranking('a', 'c'))).toEqual([['a', 1]]);
  expect(fused(5, [], ranking('a'))).toEqual([['a', 0.5]]);
  expect(fused(5, [], [])).toEqual([]);
});
