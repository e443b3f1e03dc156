import type { MessageEntity } from 'grammy/types';
import type { Formatted } from '#src/telegram/formatted.ts';

/** A style without its place in the text. Each object is one use of it. */
export type Style =
  | { type: 'bold' | 'italic' | 'strikethrough' | 'spoiler' | 'code' | 'blockquote' }
  | { type: 'pre'; language?: string }
  | { type: 'text_link'; url: string };

/** Collects text and the styles it has. */
export interface Writer {
  text(text: string): void;
  /** What `write` writes has the style too. */
  styled(style: Style, write: () => void): void;
  /** Ends the line, or leaves an empty one (`lines` = 2), unless the text ends so already. */
  breakLine(lines: 1 | 2): void;
  /** What every new line but those of code begins with, inside `write`. */
  indented(prefix: string, write: () => void): void;
  finish(): Formatted;
}

interface Span {
  style: Style;
  start: number;
  end: number;
}

export function createWriter(): Writer {
  let text = '';
  let indent = '';
  let styles: Style[] = [];
  const spans: Span[] = [];

  function put(piece: string): void {
    const start = text.length;
    text += piece;
    if (piece.trim() === '') return extend(start);
    for (const style of applicable(styles)) {
      const last = spans.findLast((span) => span.style === style);
      if (last?.end === start) last.end = text.length;
      else spans.push({ style, start, end: text.length });
    }
  }

  /** White space begins no entity, but does not interrupt one either. */
  function extend(start: number): void {
    for (const style of applicable(styles)) {
      const last = spans.findLast((span) => span.style === style);
      if (last?.end === start) last.end = text.length;
    }
  }

  return {
    text(piece) {
      if (piece === '') return;
      const lines = piece.split('\n');
      const lead = styles.some(({ type }) => type === 'pre') ? '' : indent;
      for (const [index, line] of lines.entries()) {
        if (index > 0) put('\n');
        if (line !== '') put(text === '' || text.endsWith('\n') ? lead + line : line);
      }
    },
    styled(style, write) {
      const outer = styles;
      styles = [...styles, style];
      write();
      styles = outer;
    },
    breakLine(lines) {
      if (text === '') return;
      const wanted = '\n'.repeat(lines);
      while (!text.endsWith(wanted)) put('\n');
    },
    indented(prefix, write) {
      const outer = indent;
      indent += prefix;
      write();
      indent = outer;
    },
    finish: () => ({ text: text.trimEnd(), entities: toEntities(spans, text.trimEnd()) }),
  };
}

/** Telegram lets code hold nothing and stand in nothing but a quote; quotes and links do not nest. */
function applicable(styles: Style[]): Style[] {
  const quote = styles.find((style) => style.type === 'blockquote');
  const code = styles.find((style) => style.type === 'code' || style.type === 'pre');
  const link = styles.find((style) => style.type === 'text_link');
  const exclusive = link ?? code;
  const others = styles.filter(
    (style) => !['blockquote', 'code', 'pre', 'text_link'].includes(style.type),
  );
  return [quote, exclusive, ...(exclusive === code && code !== undefined ? [] : others)].filter(
    (style) => style !== undefined,
  );
}

/** Outer entities first. Those of white space alone, or past the end, are left out. */
function toEntities(spans: Span[], text: string): MessageEntity[] {
  return spans
    .map(({ style, start, end }) => {
      const covered = text.slice(start, end).trimEnd();
      // The indentation of code belongs to it.
      const gap = style.type === 'pre' ? 0 : covered.length - covered.trimStart().length;
      return { ...style, offset: start + gap, length: covered.length - gap };
    })
    .filter((entity) => entity.length > 0)
    .sort((a, b) => a.offset - b.offset || b.length - a.length);
}
