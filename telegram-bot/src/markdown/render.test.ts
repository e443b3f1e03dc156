import { expect, test } from 'vitest';
import { renderMarkdown } from './render.ts';

/** Shows entities where they stand: `<bold>…</bold>`. */
function shown(markdown: string): string {
  const { text, entities } = renderMarkdown(markdown);
  let out = '';
  for (let at = 0; at <= text.length; at += 1) {
    const ending = entities.filter((e) => e.offset + e.length === at).toReversed();
    const starting = entities.filter((e) => e.offset === at);
    out += ending.map((e) => `</${e.type}>`).join('');
    out += starting.map((e) => `<${e.type}${detail(e)}>`).join('') + text.charAt(at);
  }
  return out;
}

function detail(entity: object): string {
  if ('url' in entity) return ` ${String(entity.url)}`;
  return 'language' in entity ? ` ${String(entity.language)}` : '';
}

test.each([
  ['plain words', 'plain words'],
  ['# Title\n\ntext', '<bold>Title</bold>\n\ntext'],
  [
    '**b** *i* ~~s~~ ||h||',
    '<bold>b</bold> <italic>i</italic> <strikethrough>s</strikethrough> <spoiler>h</spoiler>',
  ],
  ['||**b** hidden||', '<spoiler><bold>b</bold> hidden</spoiler>'],
  ['a || b || c', 'a || b || c'],
  ['price ~5~ and 2*3*4', 'price ~5~ and 2<italic>3</italic>4'],
  ['snake_case_name', 'snake_case_name'],
  ['**bold `code` bold**', '<bold>bold</bold> <code>code</code> <bold>bold</bold>'],
  ['[site](https://a.example/x_y)', '<text_link https://a.example/x_y>site</text_link>'],
  ['[`code`](https://a.example)', '<text_link https://a.example>code</text_link>'],
  ['[here](#below) [file](a.txt)', 'here file (a.txt)'],
  ['https://a.example and a@b.example', 'https://a.example and a@b.example'],
  ['![a cat](https://a.example/cat.png)', '<text_link https://a.example/cat.png>a cat</text_link>'],
  ['> quoted\n> **more**\n\nafter', '<blockquote>quoted\n<bold>more</bold></blockquote>\n\nafter'],
  ['> outer\n> > inner', '<blockquote>outer\n\ninner</blockquote>'],
  ['- one\n- two\n  - deep\n- [x] done', '• one\n• two\n  • deep\n• ☑ done'],
  ['3. three\n4. four', '3. three\n4. four'],
  ['```ts\nconst a = 1;\n\nb();\n```', '<pre ts>const a = 1;\n\nb();</pre>'],
  ['```sh run.sh\nls\n```', 'run.sh\n<pre sh>ls</pre>'],
  ['```\n  indented\n```', '<pre>  indented</pre>'],
  ['- item\n\n  ```\n  code\n  ```', '• item\n\n<pre>code</pre>'],
  ['a\n\n---\n\nb', 'a\n\n———\n\nb'],
  ['<b>tag</b> &amp; entity', '<b>tag</b> & entity'],
  ['a<br>b', 'a\nb'],
  ['note[^1]\n\n[^1]: the note', 'note[1]\n\n[1] the note'],
  ['[only]: https://a.example', '[only]: https://a.example'],
  ['🙂 **b**', '🙂 <bold>b</bold>'],
])('%j', (markdown, expected) => {
  expect(shown(markdown)).toBe(expected);
});

test('a table becomes monospaced columns', () => {
  const markdown = '| Name | Count |\n| --- | ---: |\n| **Ada** | 1 |\n| 猫 | 22 |';
  expect(shown(markdown)).toBe('<pre>Name │ Count\n─────┼──────\nAda  │     1\n猫   │    22</pre>');
});
