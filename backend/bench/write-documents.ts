import { readFileSync, writeFileSync } from 'node:fs';
import { documents, quote } from './document.ts';

/** `pnpm bench:documents`: what the documents quote of docs/performance.json, anew. */
for (const file of documents) writeFileSync(file, quote(readFileSync(file, 'utf8')));
