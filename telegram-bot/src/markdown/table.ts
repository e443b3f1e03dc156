import type { Table } from 'mdast';
import { plainText } from './inlines.ts';

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const wide =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}]/u;

/** A table as monospaced lines: columns padded to their widest cell, a rule below the head. */
export function layOutTable(table: Table): string {
  const rows = table.children.map((row) =>
    row.children.map((cell) => plainText(cell.children).replaceAll(/\s+/g, ' ').trim()),
  );
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(1, ...rows.map((row) => widthOf(row[column] ?? ''))),
  );
  const lines = rows.map((row) =>
    widths
      .map((width, column) => pad(row[column] ?? '', width, table.align?.[column] ?? 'left'))
      .join(' │ ')
      .trimEnd(),
  );
  const rule = widths.map((width) => '─'.repeat(width)).join('─┼─');
  return [lines[0], rule, ...lines.slice(1)].join('\n');
}

function pad(text: string, width: number, align: 'left' | 'right' | 'center'): string {
  const missing = width - widthOf(text);
  const left = { left: 0, right: missing, center: Math.floor(missing / 2) }[align];
  return ' '.repeat(left) + text + ' '.repeat(missing - left);
}

function widthOf(text: string): number {
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += wide.test(segment) ? 2 : 1;
  return width;
}
