import type { Embedder } from '#src/clients/embedder.ts';
import type { VectorCollection } from '#src/db/vector-collections.ts';

/** Statements and questions, short as in a chat, that have nothing to do with each other. */
const strangers = [
  'My sister plays the cello in an orchestra.',
  'When does the last train to the airport leave?',
  'We painted the kitchen yellow.',
  'Which form do I need for the tax office?',
  'Вчера у нас сломался холодильник.',
  'Где можно купить билеты на хоккей?',
  'Мой дед разводит пчёл.',
  'Какой пароль у принтера?',
];

/** Of what is left between the most alike strangers and equality, so much more must a memory be alike. */
const MARGIN = 0.15;

/**
 * What the embeddings server says of its model: the dimension, and how alike two texts have to be
 * to mean anything. Models differ so much in that (0.2 of one is 0.6 of another) that no constant
 * fits two of them.
 */
export async function measureModel(
  embedder: Embedder,
  signal: AbortSignal,
): Promise<VectorCollection> {
  const vectors = await embedder.embed(strangers, signal);
  const pairs = vectors.flatMap((a, place) => vectors.slice(place + 1).map((b) => cosine(a, b)));
  const alike = Math.max(0, ...pairs);
  const dimension = vectors[0]?.length ?? 0;
  return {
    // `=2F` for a slash, as the store takes none in a name.
    name: `memories_${encodeURIComponent(embedder.model).replaceAll('%', '=')}_${dimension}`,
    model: embedder.model,
    dimension,
    floor: alike + MARGIN * (1 - alike),
  };
}

function cosine(a: number[], b: number[]): number {
  const dot = (x: number[], y: number[]) =>
    x.reduce((sum, n, place) => sum + n * (y[place] ?? 0), 0);
  return dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);
}
