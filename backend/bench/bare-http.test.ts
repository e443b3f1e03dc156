import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { onMessage, openConnection, withLength } from './bare-http.ts';

let stop: () => void;

afterEach(() => stop());

test('a message that comes in pieces is taken once, whole', async () => {
  const taken: string[] = [];
  const url = await serve((socket) => {
    onMessage(socket, ({ head, body }) => {
      taken.push(body);
      const answer = withLength('HTTP/1.1 200 OK', `${head.split(' ')[0]} ${body}`);
      for (const [place, piece] of answer.split('').entries()) {
        setTimeout(() => socket.write(piece), place);
      }
    });
  });
  const connection = openConnection(url);
  for (const body of ['first', '', 'third']) {
    const { head, body: answer } = await connection.ask(withLength('POST / HTTP/1.1', body));
    expect(head).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(answer).toBe(`POST ${body}`);
  }
  expect(taken).toEqual(['first', '', 'third']);
  connection.close();
});

test('who hangs up instead of answering fails the exchange', async () => {
  const url = await serve((socket) => {
    onMessage(socket, () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal'));
  });
  const connection = openConnection(url);
  await expect(connection.ask(withLength('POST / HTTP/1.1', 'x'))).rejects.toThrow(
    'The connection ended before its answer.',
  );
});

async function serve(accept: (socket: Socket) => void): Promise<string> {
  const server = createServer(accept).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stop = () => server.close();
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}
