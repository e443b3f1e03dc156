const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' });

/** More words than these of a question change nothing, and cost time. */
const maxQuestionWords = 64;

/** A text's distinct words, lower-cased and without accents; those of one or two letters only where they are ideographs. */
export function wordsOf(text: string): string[] {
  const plain = text
    .normalize('NFKD')
    .replaceAll(/\p{Mn}/gu, '')
    .toLowerCase();
  const words = new Set<string>();
  for (const { segment, isWordLike } of segmenter.segment(plain)) {
    if (isWordLike === true && (segment.length > 2 || /[\d\p{Ideographic}]/u.test(segment))) {
      words.add(segment);
    }
  }
  return [...words];
}

/**
 * How much each text says about the question: the sum over the words they share, rare words counting
 * most (inverse document frequency over `texts` and `background`). A word of the background that also
 * stands in more than half of them all is common and counts nothing. 0 means: nothing in common.
 */
export function relevanceOf(question: string, texts: string[], background: string[]): number[] {
  const documents = texts.map(wordsOf);
  const backgroundWords = wordsOf(background.join('\n'));
  const all = background.length > 0 ? [...documents, backgroundWords] : documents;
  const weights = wordsOf(question)
    .slice(0, maxQuestionWords)
    .map((word) => {
      const found = all.filter((words) => has(words, word)).length;
      const common = found * 2 > all.length && has(backgroundWords, word);
      return { word, weight: found === 0 || common ? 0 : Math.log((all.length + 1) / found) };
    })
    .filter(({ weight }) => weight > 0);
  return documents.map((words) =>
    weights.reduce((sum, { word, weight }) => (has(words, word) ? sum + weight : sum), 0),
  );
}

function has(words: string[], word: string): boolean {
  return words.some((other) => isSameWord(other, word));
}

/** Two forms of one word (`работаю`, `работе`) share four letters or more and differ in three endings at most. */
function isSameWord(a: string, b: string): boolean {
  if (a === b) return true;
  let shared = 0;
  while (shared < a.length && a[shared] === b[shared]) shared += 1;
  return shared >= 4 && Math.max(a.length, b.length) - shared <= 3;
}
