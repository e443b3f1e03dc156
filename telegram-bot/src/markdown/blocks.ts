import type { BlockContent, DefinitionContent, List, ListItem, RootContent, Table } from 'mdast';
import { writeInlines } from './inlines.ts';
import { layOutTable } from './table.ts';
import type { Writer } from './writer.ts';

type Block = RootContent | BlockContent | DefinitionContent;

/** `depth`: how many lists the blocks stand in. `tight`: no empty lines between them. */
interface Surroundings {
  depth: number;
  tight?: boolean;
}

export function writeBlocks(blocks: Block[], writer: Writer, around: Surroundings): void {
  for (const block of blocks) {
    writer.breakLine(around.tight ? 1 : 2);
    writeBlock(block, writer, around);
  }
}

function writeBlock(block: Block, writer: Writer, around: Surroundings): void {
  switch (block.type) {
    case 'paragraph':
      return writeInlines(block.children, writer);
    case 'heading':
      return writer.styled({ type: 'bold' }, () => writeInlines(block.children, writer));
    case 'thematicBreak':
      return writer.text('———');
    case 'blockquote':
      return writer.styled({ type: 'blockquote' }, () =>
        writeBlocks(block.children, writer, { ...around, tight: false }),
      );
    case 'list':
      return writeList(block, writer, around);
    case 'code':
      return writer.styled({ type: 'pre', ...(block.lang ? { language: block.lang } : {}) }, () =>
        writer.text(block.value),
      );
    case 'table':
      return writeTable(block, writer);
    case 'footnoteDefinition':
      writer.text(`[${block.identifier}] `);
      return writeBlocks(block.children, writer, { ...around, tight: true });
    case 'html':
    case 'text':
      return writer.text(block.value);
    default:
      // Definitions of links are shown where they are used.
      return undefined;
  }
}

function writeList(list: List, writer: Writer, { depth }: Surroundings): void {
  for (const [index, item] of list.children.entries()) {
    writer.breakLine(list.spread ? 2 : 1);
    const mark = list.ordered ? `${(list.start ?? 1) + index}. ` : '• ';
    writer.text(mark + checkbox(item));
    const [first, ...rest] = item.children;
    const inside = { depth: depth + 1, tight: !item.spread };
    if (first?.type === 'paragraph') writeInlines(first.children, writer);
    writer.indented('  ', () => {
      writeBlocks(first?.type === 'paragraph' ? rest : item.children, writer, inside);
    });
  }
}

function checkbox(item: ListItem): string {
  if (item.checked === true) return '☑ ';
  return item.checked === false ? '☐ ' : '';
}

function writeTable(table: Table, writer: Writer): void {
  writer.styled({ type: 'pre' }, () => writer.text(layOutTable(table)));
}
