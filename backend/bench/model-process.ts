import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { sentence } from './sentences.ts';

/**
 * A model that costs as little as a server can: it answers one of some prepared sentences after the
 * milliseconds that its path names (`/300/v1/chat/completions`). With `/hold/`, streams never end.
 */
const answers = Array.from({ length: 2_000 }, (_, number) =>
  JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion',
    created: 0,
    model: 'bench',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: sentence(1_000_000 + number) },
        finish_reason: 'stop',
      },
    ],
    usage: { prompt_tokens: 300, completion_tokens: 20, total_tokens: 320 },
  }),
);
let asked = 0;

const server = createServer((req, res) => {
  const delay = Number(/^\/(\d+)\//.exec(req.url ?? '')?.[1] ?? 0);
  if (req.url?.startsWith('/hold/')) {
    let body = '';
    req.setEncoding('utf8').on('data', (text: string) => (body += text));
    req.on('end', () => (body.includes('"stream":true') ? hold() : void answer()));
    return;
  }
  req.resume().on('end', () => void answer().catch(() => res.destroy()));
  function hold(): void {
    const choices = [{ index: 0, delta: { content: 'Well' }, finish_reason: null }];
    res.setHeader('content-type', 'text/event-stream');
    res.write(`data: ${JSON.stringify({ choices })}\n\n`);
  }
  async function answer(): Promise<void> {
    if (delay > 0) await sleep(delay);
    asked += 1;
    res.setHeader('content-type', 'application/json').end(answers[asked % answers.length]);
  }
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.send?.(server.address()));
