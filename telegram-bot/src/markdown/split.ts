import type { MessageEntity } from 'grammy/types';
import type { Formatted } from '#src/telegram/formatted.ts';

/** UTF-16 units. */
export const MESSAGE_LIMIT = 4096;
/** Telegram ignores further entities of one message. */
const ENTITY_LIMIT = 100;

/**
 * Cuts a long text into messages: at a paragraph's end, else a line's, else between words, else
 * wherever the limit falls. Entities across a cut go on in the next message, code as code.
 * The white space at a cut is dropped, but for the indentation of code.
 */
export function splitFormatted(whole: Formatted, limit = MESSAGE_LIMIT): Formatted[] {
  const pieces: Formatted[] = [];
  let start = 0;
  while (start < whole.text.length) {
    const end = findEnd(whole, start, limit);
    const piece = cutOut(whole, start, end);
    if (piece.text !== '') pieces.push(piece);
    start = end;
    const gap = codeAt(whole, end) ? /^[ \t]*\n+/ : /^\s+/;
    start += gap.exec(whole.text.slice(start, start + limit))?.[0].length ?? 0;
  }
  return pieces;
}

function findEnd(whole: Formatted, start: number, limit: number): number {
  const room = Math.min(limit, roomForEntities(whole, start));
  if (whole.text.length - start <= room) return whole.text.length;
  const slice = whole.text.slice(start, start + room + 1);
  const ends = (pattern: RegExp) => [...slice.matchAll(pattern)].map((match) => match.index);
  const paragraph = ends(/\n\n/g).findLast((end) => !codeAt(whole, start + end));
  const line = ends(/\n/g).at(-1);
  const word = ends(/\s/g).at(-1);
  // An early end would leave a stump: the next best is taken where it makes a fuller message.
  const found = [paragraph, line, word].find((end) => end !== undefined && end >= room / 3);
  return start + (found ?? hardEnd(slice, room));
}

/** A surrogate pair is never split, nor, where it can be helped, what is seen as one letter. */
function hardEnd(slice: string, room: number): number {
  const tail = slice.slice(Math.max(0, room - 64));
  const base = slice.length - tail.length;
  const starts = [...graphemes.segment(tail)].map(({ index }) => base + index);
  const end = starts.findLast((index) => index <= room && index > base) ?? room;
  return isHighSurrogate(slice, end - 1) && end > 1 ? end - 1 : end;
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

function isHighSurrogate(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  return code >= 0xd8_00 && code <= 0xdb_ff;
}

function roomForEntities({ entities }: Formatted, start: number): number {
  const here = entities.filter((entity) => entity.offset + entity.length > start);
  const room = (here[ENTITY_LIMIT]?.offset ?? Infinity) - start;
  return room > 0 ? room : Infinity;
}

function codeAt({ entities }: Formatted, index: number): boolean {
  return entities.some(
    ({ type, offset, length }) => type === 'pre' && index > offset && index < offset + length,
  );
}

function cutOut({ text, entities }: Formatted, start: number, end: number): Formatted {
  const piece = text.slice(start, end).trimEnd();
  return {
    text: piece,
    entities: entities.flatMap((entity): MessageEntity[] => {
      const from = Math.max(0, entity.offset - start);
      const to = Math.min(piece.length, entity.offset + entity.length - start);
      const covered = piece.slice(from, to).trimEnd();
      if (to <= from || covered === '') return [];
      return [{ ...entity, offset: from, length: covered.length }];
    }),
  };
}
