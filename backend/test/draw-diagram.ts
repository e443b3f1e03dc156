import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { findChromium, launchBrowser } from './chromium.ts';

const root = path.join(import.meta.dirname, '../..');

/** `pnpm diagram`: draws diagram.png from diagram.svg, and notes in it what it was drawn from. */
const source = await readFile(path.join(root, 'diagram.svg'), 'utf8');
const executable = await findChromium();
if (executable === undefined) process.exit(1);
const browser = await launchBrowser(executable);
const page = await browser.newPage({
  viewport: { width: 1280, height: 850 },
  deviceScaleFactor: 2,
});
await page.setContent(`<body style="margin:0">${source}</body>`);
const picture = await page.screenshot({ omitBackground: true });
await browser.close();
await writeFile(path.join(root, 'diagram.png'), withNote(picture, `source\0${digest(source)}`));

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A PNG with one more `tEXt` chunk behind its header. */
function withNote(png: Buffer, note: string): Buffer {
  const headerEnd = 33;
  const content = Buffer.from(`tEXt${note}`, 'latin1');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length - 4);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(content));
  const head = png.subarray(0, headerEnd);
  return Buffer.concat([head, length, content, checksum, png.subarray(headerEnd)]);
}
