import type { PhrasingContent } from 'mdast';
import type { Style, Writer } from './writer.ts';

export function writeInlines(nodes: PhrasingContent[], writer: Writer): void {
  for (const piece of withSpoilers(nodes)) {
    if (piece.spoiler) writer.styled({ type: 'spoiler' }, () => writeAll(piece.nodes, writer));
    else writeAll(piece.nodes, writer);
  }
}

function writeAll(nodes: PhrasingContent[], writer: Writer): void {
  for (const node of nodes) writeInline(node, writer);
}

function writeInline(node: PhrasingContent, writer: Writer): void {
  switch (node.type) {
    case 'text':
      return writer.text(node.value.replaceAll(/<br\s*\/?>/gi, '\n'));
    case 'html':
      return writer.text(node.value);
    case 'break':
      return writer.text('\n');
    case 'strong':
      return writeStyled({ type: 'bold' }, node.children, writer);
    case 'emphasis':
      return writeStyled({ type: 'italic' }, node.children, writer);
    case 'delete':
      return writeStyled({ type: 'strikethrough' }, node.children, writer);
    case 'inlineCode':
      return writer.styled({ type: 'code' }, () => writer.text(node.value));
    case 'link':
      return writeLink(node.url, node.children, writer);
    case 'image':
      return writeLink(node.url, [{ type: 'text', value: node.alt || node.url }], writer);
    case 'linkReference':
      return writeAll(node.children, writer);
    case 'imageReference':
      return writer.text(node.alt || node.identifier);
    case 'footnoteReference':
      return writer.text(`[${node.identifier}]`);
  }
}

function writeStyled(style: Style, children: PhrasingContent[], writer: Writer): void {
  writer.styled(style, () => writeInlines(children, writer));
}

/** Telegram finds an address that stands in the text by itself, and links to few schemes. */
function writeLink(url: string, children: PhrasingContent[], writer: Writer): void {
  const label = plainText(children);
  if (label === '') return writer.text(url);
  if (label === url || `mailto:${label}` === url || `http://${label}` === url) {
    return writeAll(children, writer);
  }
  if (/^(https?|tg|mailto|tel):./i.test(url)) {
    return writer.styled({ type: 'text_link', url }, () => writeAll(children, writer));
  }
  writeAll(children, writer);
  if (url !== '' && !url.startsWith('#') && !url.startsWith('streamdown:'))
    writer.text(` (${url})`);
}

export function plainText(nodes: PhrasingContent[]): string {
  return nodes
    .map((node) => {
      if ('children' in node) return plainText(node.children);
      if ('value' in node) return node.value;
      return 'alt' in node ? (node.alt ?? '') : '';
    })
    .join('');
}

interface Piece {
  spoiler: boolean;
  nodes: PhrasingContent[];
}

/** Telegram's `||hidden||`, which Markdown has no word for; `a || b` stays what it is. */
function withSpoilers(nodes: PhrasingContent[]): Piece[] {
  const marked = nodes.flatMap((node): (PhrasingContent | 'mark')[] =>
    node.type === 'text' && node.value.includes('||') ? splitAtMarks(node.value) : [node],
  );
  const marks = marked.filter((node) => node === 'mark').length;
  const pieces: Piece[] = [{ spoiler: false, nodes: [] }];
  let seen = 0;
  for (const node of marked) {
    if (node !== 'mark') pieces.at(-1)?.nodes.push(node);
    else {
      seen += 1;
      const unpaired = seen === marks && marks % 2 === 1;
      if (unpaired) pieces.at(-1)?.nodes.push({ type: 'text', value: '||' });
      else pieces.push({ spoiler: seen % 2 === 1, nodes: [] });
    }
  }
  return pieces;
}

function splitAtMarks(value: string): (PhrasingContent | 'mark')[] {
  return value
    .split(/((?<!\S)\|\|(?=\S)|(?<=\S)\|\|(?!\S))/)
    .filter((part) => part !== '')
    .map((part) => (part === '||' ? 'mark' : { type: 'text', value: part }));
}
