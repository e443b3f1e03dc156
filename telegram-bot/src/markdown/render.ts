import { fromMarkdown } from 'mdast-util-from-markdown';
import { gfmFromMarkdown } from 'mdast-util-gfm';
import { gfm } from 'micromark-extension-gfm';
import type { Formatted } from '#src/telegram/formatted.ts';
import { writeBlocks } from './blocks.ts';
import { createWriter } from './writer.ts';

/**
 * Markdown as models write it, as text with entities. Never fails, and never shows less than the
 * words that are there: what Telegram has no shape for becomes plain text.
 */
export function renderMarkdown(markdown: string): Formatted {
  const root = fromMarkdown(markdown, {
    extensions: [
      gfm({ singleTilde: false }),
      // Models indent without meaning code, and their tags are to be read, not obeyed.
      { disable: { null: ['codeIndented', 'htmlFlow', 'htmlText'] } },
    ],
    mdastExtensions: [gfmFromMarkdown()],
  });
  const writer = createWriter();
  writeBlocks(root.children, writer, {});
  const rendered = writer.finish();
  // A document of nothing but a link's definition has no text to show, and Telegram takes no empty one.
  return rendered.text === '' ? { text: markdown.trim() || '…', entities: [] } : rendered;
}
