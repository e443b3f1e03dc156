import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Formatted } from '#src/telegram/formatted.ts';
import { renderPreview } from './preview.ts';
import { renderMarkdown } from './render.ts';
import { MESSAGE_LIMIT, splitFormatted } from './split.ts';

/** Words that can be found again, whatever stands around them. */
const word = fc.constantFrom('alpha', 'Бета', '猫猫', '👩‍👩‍👧', 'naïve', '𝒳𝒴');
const words = fc.array(word, { minLength: 1, maxLength: 5 }).map((list) => list.join(' '));

const { inline } = fc.letrec<{ inline: string }>((tie) => ({
  inline: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    words,
    fc.tuple(fc.constantFrom('**', '*', '~~', '||'), tie('inline')).map(([m, t]) => `${m}${t}${m}`),
    words.map((text) => `\`${text}\``),
    fc
      .tuple(fc.constantFrom('', '**', '`'), words)
      .map(([mark, text]) => `[${mark}${text}${mark}](https://a.example/?q=1)`),
    fc.tuple(tie('inline'), tie('inline')).map((parts) => parts.join(' ')),
  ),
}));

const { block } = fc.letrec<{ block: string }>((tie) => ({
  block: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    inline,
    inline.map((text) => `## ${text}`),
    fc
      .tuple(fc.constantFrom('', 'ts', 'c++'), fc.array(words, { minLength: 1, maxLength: 6 }))
      .map(([language, lines]) => `\`\`\`${language}\n${lines.join('\n  ')}\n\`\`\``),
    fc
      .array(words, { minLength: 2, maxLength: 4 })
      .map((cells) =>
        [cells, cells.map(() => '---'), cells].map((row) => `| ${row.join(' | ')} |`).join('\n'),
      ),
    fc
      .tuple(
        fc.constantFrom('- ', '1. ', '* '),
        fc.array(tie('block'), { minLength: 1, maxLength: 3 }),
      )
      .map(([mark, items]) =>
        items.map((item) => mark + indent(item, ' '.repeat(mark.trim().length + 1))).join('\n'),
      ),
    tie('block').map((text) => `> ${indent(text, '> ')}`),
  ),
}));

const markdown = fc
  .array(block, { minLength: 1, maxLength: 5 })
  .map((blocks) => blocks.join('\n\n'))
  // Not what was meant: a fence, whose first word is a language.
  .filter((source) => !source.includes('~~~'));
/** What no grammar would make: markers thrown together. */
const noise = fc
  .array(
    fc.oneof(
      word,
      fc.constantFrom(
        '*',
        '**',
        '_',
        '`',
        '```',
        '\n',
        '\n\n',
        ' ',
        '[',
        '](',
        ')',
        '|',
        '||',
        '> ',
        '- ',
        '#',
        '~~',
        '<b>',
        '&',
        '\\',
      ),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''));
const documents = fc.oneof(markdown, noise);

function indent(text: string, by: string): string {
  return text.replaceAll('\n', `\n${by}`);
}

function lettersOf(text: string): string {
  return (text.match(/[\p{L}\p{Emoji_Presentation}]+/gu) ?? []).join('');
}

function expectValid({ text, entities }: Formatted): void {
  expect(text.isWellFormed()).toBe(true);
  for (const [index, entity] of entities.entries()) {
    const { offset, length } = entity;
    expect(length).toBeGreaterThan(0);
    expect(offset).toBeGreaterThanOrEqual(0);
    expect(offset + length).toBeLessThanOrEqual(text.length);
    expect(text.slice(offset, offset + length).isWellFormed()).toBe(true);
    for (const other of entities.slice(index + 1)) expectNested(entity, other);
  }
}

function expectNested(a: Formatted['entities'][number], b: Formatted['entities'][number]): void {
  const apart = a.offset + a.length <= b.offset || b.offset + b.length <= a.offset;
  if (apart) return;
  const inner = b.offset >= a.offset && b.offset + b.length <= a.offset + a.length;
  const outer = a.offset >= b.offset && a.offset + a.length <= b.offset + b.length;
  expect(inner || outer).toBe(true);
  const types = [a.type, b.type];
  const code = types.some((type) => type === 'code' || type === 'pre');
  expect(code ? types.includes('blockquote') : true).toBe(true);
  expect(types).not.toEqual(['blockquote', 'blockquote']);
  expect(types).not.toEqual(['text_link', 'text_link']);
}

test('entities lie in range and nest, and every word is shown', () => {
  fc.assert(
    fc.property(markdown, (source) => {
      const rendered = renderMarkdown(source);
      expectValid(rendered);
      const expected = source
        .replaceAll('https://a.example/?q=1', '')
        .replaceAll(/```(ts|c\+\+)/g, '');
      expect(lettersOf(rendered.text)).toBe(lettersOf(expected));
    }),
    { numRuns: 300 },
  );
});

test('every prefix of a document can be shown', () => {
  fc.assert(
    fc.property(documents, fc.nat(), (source, at) => {
      const prefix = source.slice(0, at % (source.length + 1)).toWellFormed();
      for (const shown of [renderPreview(prefix), renderMarkdown(prefix)]) {
        expectValid(shown);
        expect(shown.text.trim()).not.toBe('');
        expect(splitFormatted(shown).every((piece) => piece.text.length <= MESSAGE_LIMIT)).toBe(
          true,
        );
      }
    }),
    { numRuns: 400 },
  );
});

test('all prefixes of a document, one after another', () => {
  fc.assert(
    fc.property(documents, (source) => {
      for (let end = 0; end <= Math.min(source.length, 300); end += 1) {
        expectValid(renderPreview(source.slice(0, end).toWellFormed()));
      }
    }),
    { numRuns: 20 },
  );
});

test('pieces are within the limit, and together they are the whole', () => {
  const long = fc
    .array(documents, { minLength: 1, maxLength: 30 })
    .map((list) => list.join('\n\n'));
  fc.assert(
    fc.property(long, fc.integer({ min: 20, max: 400 }), (source, limit) => {
      const whole = renderMarkdown(source);
      const pieces = splitFormatted(whole, limit);
      for (const piece of pieces) {
        expectValid(piece);
        expect(piece.text.length).toBeLessThanOrEqual(limit);
        expect(piece.text.trim()).not.toBe('');
        expect(piece.entities.length).toBeLessThanOrEqual(100);
      }
      expect(withoutSpace(pieces.map((piece) => piece.text).join(''))).toBe(
        withoutSpace(whole.text),
      );
    }),
    { numRuns: 300 },
  );
});

function withoutSpace(text: string): string {
  return text.replaceAll(/\s+/g, '');
}
