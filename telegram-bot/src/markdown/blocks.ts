import type {
  BlockContent,
  Code,
  DefinitionContent,
  List,
  ListItem,
  RootContent,
  Table,
} from 'mdast';
import { writeInlines } from './inlines.ts';
import { layOutTable } from './table.ts';
import type { Writer } from './writer.ts';

type Block = RootContent | BlockContent | DefinitionContent;

/** `tight`: no empty lines between the blocks. */
interface Surroundings {
  tight?: boolean;
}

export function writeBlocks(blocks: Block[], writer: Writer, around: Surroundings): void {
  for (const block of blocks) {
    writer.breakLine(around.tight ? 1 : 2);
    writeBlock(block, writer);
  }
}

function writeBlock(block: Block, writer: Writer): void {
  switch (block.type) {
    case 'paragraph':
      return writeInlines(block.children, writer);
    case 'heading':
      return writer.styled({ type: 'bold' }, () => writeInlines(block.children, writer));
    case 'thematicBreak':
      return writer.text('———');
    case 'blockquote':
      return writer.styled({ type: 'blockquote' }, () => writeBlocks(block.children, writer, {}));
    case 'list':
      return writeList(block, writer);
    case 'code':
      return writeCode(block, writer);
    case 'table':
      return writeTable(block, writer);
    case 'footnoteDefinition':
      writer.text(`[${block.identifier}] `);
      return writeAfterMark(block.children, writer, { tight: true });
    case 'html':
    case 'text':
      return writer.text(block.value);
    default:
      // Definitions of links are shown where they are used.
      return undefined;
  }
}

function writeList(list: List, writer: Writer): void {
  for (const [index, item] of list.children.entries()) {
    writer.breakLine(list.spread ? 2 : 1);
    const mark = list.ordered ? `${(list.start ?? 1) + index}. ` : '• ';
    writer.text(mark + checkbox(item));
    writeAfterMark(item.children, writer, { tight: !item.spread });
  }
}

/** A paragraph begins on the line of the mark that it stands behind. */
function writeAfterMark(blocks: Block[], writer: Writer, around: Surroundings): void {
  const [first, ...rest] = blocks;
  if (first?.type === 'paragraph') writeInlines(first.children, writer);
  writer.indented('  ', () => {
    writeBlocks(first?.type === 'paragraph' ? rest : blocks, writer, around);
  });
}

function checkbox(item: ListItem): string {
  if (item.checked === true) return '☑ ';
  return item.checked === false ? '☐ ' : '';
}

/** What stands behind the language (a file's name, often) is shown as a line of its own. */
function writeCode({ lang, meta, value }: Code, writer: Writer): void {
  const isLanguage = /^[\w#+.-]{1,32}$/.test(lang ?? '');
  const info = [isLanguage ? '' : lang, meta].filter((part) => part).join(' ');
  if (info !== '') writer.text(`${info}\n`);
  const style = isLanguage && lang ? { language: lang } : {};
  writer.styled({ type: 'pre', ...style }, () => writer.text(value));
}

function writeTable(table: Table, writer: Writer): void {
  writer.styled({ type: 'pre' }, () => writer.text(layOutTable(table)));
}
