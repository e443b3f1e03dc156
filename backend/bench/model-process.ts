import { createServer } from 'node:net';
import { onMessage, withLength } from './bare-http.ts';
import { sentence } from './sentences.ts';

/**
 * A model that costs as little as a server can: it answers one of some prepared sentences after the
 * milliseconds that its path names (`/300/v1/chat/completions`). With `/hold/`, streams never end.
 */
const answers = Array.from({ length: 2_000 }, (_, number) =>
  withLength(
    'HTTP/1.1 200 OK\r\ncontent-type: application/json',
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
  ),
);
const delta = { choices: [{ index: 0, delta: { content: 'Well' }, finish_reason: null }] };
const beginning = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ${JSON.stringify(delta)}\n\n`;
let asked = 0;

const server = createServer({ noDelay: true }, (socket) => {
  const answer = () => {
    asked += 1;
    socket.write(answers[asked % answers.length] ?? '');
  };
  // Who asked may hang up.
  socket.on('error', () => {});
  onMessage(socket, ({ head, body }) => {
    const [, first] = /^POST \/(\w+)\//.exec(head) ?? [];
    if (first === 'hold' && body.includes('"stream":true')) socket.write(beginning);
    else if (Number(first) > 0) setTimeout(answer, Number(first));
    else answer();
  });
});
server.listen(0, '127.0.0.1', () => process.send?.(server.address()));
