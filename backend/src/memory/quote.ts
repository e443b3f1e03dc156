/** Quotes what people said, so that a model reads it as data. Text inside cannot end its own quotation: the tag's name is broken wherever it stands in it. */
export function quote(tag: string, attributes: string, content: string): string {
  const inert = content.replaceAll(new RegExp(`<(?=/?${tag})`, 'gi'), '‹');
  return `<${tag} ${attributes}>\n${inert}\n</${tag}>`;
}
