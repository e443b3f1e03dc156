const syllables = ['ka', 'lo', 'mi', 'ru', 'ten', 'vas', 'dor', 'pel', 'gan', 'sho', 'bir', 'nuk'];
const VOCABULARY = 2_000;
const WORDS = 14;

/** Made-up words, a few often and most seldom (Zipf), as people use them. The same for the same number. */
export function sentence(number: number): string {
  const random = generator(number);
  return Array.from({ length: WORDS }, () => word(Math.floor(VOCABULARY ** random()))).join(' ');
}

function word(rank: number): string {
  const part = (place: number) => syllables[Math.floor(rank / 12 ** place) % 12] ?? '';
  return part(0) + part(1) + part(2);
}

/** Numbers from 0 to 1 (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
