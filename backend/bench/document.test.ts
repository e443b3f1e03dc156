import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { documents, quote } from './document.ts';

test.each(documents.map((file) => ({ file, name: basename(file) })))(
  '$name quotes the committed run; `pnpm bench:documents` writes it anew',
  ({ file }) => {
    const text = readFileSync(file, 'utf8');
    expect(text).toContain('<!-- measured: ');
    expect(text).toBe(quote(text));
  },
);
