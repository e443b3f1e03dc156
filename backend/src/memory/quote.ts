type Tag = 'summary' | 'memory' | 'message';

/** What a reader could take for one of our tags, however it is spaced or written. */
const looksLikeATag = /<(?=\s*\/?\s*(?:summary|memory|message))/gi;

/** Quotes what people said, so that a model reads it as data. Text inside can neither end its own quotation nor open another. */
export function quote(tag: Tag, attributes: string, content: string): string {
  return `<${tag} ${attributes}>\n${content.replaceAll(looksLikeATag, '‹')}\n</${tag}>`;
}
