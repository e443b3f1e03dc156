import type { Db } from '#src/db/connect.ts';
import { indexMemories } from '#src/memory/recall/index-memories.ts';
import { searchMemories } from '#src/memory/recall/search-memories.ts';
import type { VectorSearch } from '#src/memory/recall/vector-search.ts';
import type { Dialogue } from './dialogues.ts';

/** In LoCoMo's numbering; its questions that cannot be answered are the fifth category. */
const UNANSWERABLE = 5;

export interface Stored {
  /** Where each message stands in its dialogue, by its id. */
  places: Map<string, string>;
  /** Storing and indexing. */
  rowsPerSecond: number;
}

export interface Asked {
  category: number;
  answerable: boolean;
  /** Where the evidence stands among the hits, from 0; -1 where it was not found. */
  ranks: number[];
  hits: number;
  milliseconds: number;
}

/** Stores each dialogue as a chat, and indexes its words. */
export async function storeDialogues(db: Db, dialogues: Dialogue[]): Promise<Stored> {
  const startedAt = performance.now();
  const places = new Map<string, string>();
  for (const dialogue of dialogues) {
    for (const [id, place] of await storeDialogue(db, dialogue)) places.set(id, place);
  }
  while ((await indexMemories(db)) > 0);
  const seconds = (performance.now() - startedAt) / 1_000;
  return { places, rowsPerSecond: places.size / seconds };
}

/** Asks every question as a turn would; with `vectors` by sense too. */
export async function askQuestions(
  db: Db,
  dialogues: Dialogue[],
  { places }: Stored,
  { limit, vectors }: { limit: number; vectors?: VectorSearch },
): Promise<Asked[]> {
  const asked: Asked[] = [];
  for (const dialogue of dialogues) {
    for (const question of dialogue.questions) {
      const askedAt = performance.now();
      const search = { chatId: dialogue.id, query: question.text, limit };
      const hits = await searchMemories(db, search, vectors);
      const milliseconds = performance.now() - askedAt;
      const found = hits.map((hit) => places.get(hit.message_id ?? ''));
      asked.push({
        category: question.category,
        answerable: question.category !== UNANSWERABLE && question.evidence.length > 0,
        ranks: question.evidence.map((place) => found.indexOf(place)),
        hits: hits.length,
        milliseconds,
      });
    }
  }
  return asked;
}

/** The mean share of the evidence that stands among the first `k` hits. */
export function recallAt(questions: Asked[], k: number): number {
  const shares = questions
    .filter(({ ranks }) => ranks.length > 0)
    .map(({ ranks }) => ranks.filter((rank) => rank >= 0 && rank < k).length / ranks.length);
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

/** The share of questions that brought nothing at all. */
export function silence(questions: Asked[]): number {
  return questions.filter(({ hits }) => hits === 0).length / questions.length;
}

/** Returns where each message stands in the dialogue, by its id. */
async function storeDialogue(db: Db, dialogue: Dialogue): Promise<[string, string][]> {
  const places: [string, string][] = [];
  for (const lines of Map.groupBy(dialogue.lines, (line) => line.session).values()) {
    const session = await db
      .insertInto('chat_sessions')
      .values({ chat_id: dialogue.id, user_id: 'eval', is_active: false })
      .returning('id')
      .executeTakeFirstOrThrow();
    const messages = await db
      .insertInto('messages')
      .values(
        lines.map(({ firstSpeaker, text, date }) => ({
          session_id: session.id,
          role: firstSpeaker ? 'user' : 'assistant',
          content: text,
          created_at: date,
        })),
      )
      .returning('id')
      .execute();
    places.push(
      ...messages.map(({ id }, index): [string, string] => [id, lines[index]?.place ?? '']),
    );
  }
  return places;
}
