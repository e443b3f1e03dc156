import { saidIn } from '../marks.ts';
import type { Evidence, Violation } from './evidence.ts';

/** 8: the vector store holds the vectors of the ledger's rows, of their texts as they are, and no others. */
export function checkVectors({ vectors: { rows, points } }: Evidence): Violation[] {
  const expected = new Map(rows.filter((row) => row.has_vector).map((row) => [row.id, row]));
  const stored = new Map(points.map((point) => [point.id, point.payload]));
  const report = (id: number, chat: string, about: string[], what: string): Violation => ({
    rule: 'the vector store equals the ledger',
    chat,
    about: [`vector ${id}`, ...about],
    text: `vector ${id} ${what}`,
  });
  const kept = points.flatMap(({ id, payload: { chat_id: chat = '', version } }) => {
    const row = expected.get(id);
    if (row === undefined) return report(id, chat, [], 'is kept, and its row is gone');
    const marks = saidIn(row.content);
    if (row.version !== version)
      return report(id, chat, marks, `is not of ${marks.join(' ')} as it is`);
    return row.chat_id === chat
      ? []
      : report(id, row.chat_id, marks, `is filed under chat ${chat}`);
  });
  const missing = [...expected.values()]
    .filter(({ id }) => !stored.has(id))
    .map(({ id, chat_id: chat, content }) =>
      report(id, chat, saidIn(content), `of ${saidIn(content).join(' ')} is missing`),
    );
  return [...kept, ...missing];
}
