import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { HttpEnv } from './env.ts';

/**
 * The chat page: one static file that holds no data, so it is served without a key and asks for
 * one where the API wants it. Its policy allows exactly its own script and style.
 */
export function addPage(app: OpenAPIHono<HttpEnv>): void {
  const html = readFileSync(new URL('../../public/index.html', import.meta.url), 'utf8');
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(html, 'script')}`,
    `style-src ${hashOf(html, 'style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  app.get('/', (c) =>
    c.html(html, 200, {
      'content-security-policy': policy,
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-cache',
    }),
  );
}

function hashOf(html: string, element: 'script' | 'style'): string {
  const content = new RegExp(`<${element}[^>]*>([\\s\\S]*?)</${element}>`).exec(html)?.[1];
  if (content === undefined) throw new Error(`public/index.html has no <${element}>`);
  return `'sha256-${createHash('sha256').update(content).digest('base64')}'`;
}
