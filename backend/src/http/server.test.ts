import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HttpEnv } from './env.ts';
import { createHttpServer, listen } from './server.ts';
import { untilTaken } from './stall-guard.ts';

const timeouts = { headers: 200, request: 400, keepAlive: 5_000, check: 50 };
/** What one write of the endless stream holds. */
const PIECE = 'x'.repeat(64 * 1024);

let port: number;
let written = 0;
const server = createHttpServer(testApp(), '127.0.0.1', timeouts);

beforeAll(async () => {
  port = Number(new URL(await listen(server, '127.0.0.1', 0)).port);
});

afterAll(() => {
  server.close();
  server.closeAllConnections();
});

function testApp() {
  const app = new Hono<HttpEnv>();
  app.onError((_, c) => c.text('', 500));
  app.post('/echo', async (c) => c.text(await c.req.text()));
  app.get('/endless', (c) =>
    streamSSE(c, async (stream) => {
      while (!stream.aborted) {
        await untilTaken(stream.writeSSE({ data: PIECE }), c.env.outgoing, 300);
        written += PIECE.length;
      }
    }),
  );
  return app;
}

async function send(request: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(request);
  return socket;
}

test.each([
  ['half a header', 'POST /echo HTTP/1.1\r\nhost: x\r\nx-slow: ', 408, 'request_timeout'],
  [
    'half a body',
    'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf',
    408,
    'request_timeout',
  ],
  [
    'endless headers',
    `GET / HTTP/1.1\r\nhost: x\r\nx-long: ${'y'.repeat(20_000)}\r\n\r\n`,
    431,
    'headers_too_large',
  ],
  ['no HTTP at all', 'hello\r\n\r\n', 400, 'malformed_request'],
])('%s is answered as a problem, and the connection closed', async (_, request, status, code) => {
  const answer = await text(await send(request));
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer).toContain('content-type: application/problem+json');
  expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({
    status,
    code,
    request_id: expect.any(String),
  });
});

test('a stream that nobody reads is cut off, and little of it was ever held', async () => {
  const socket = await send('GET /endless HTTP/1.1\r\nhost: x\r\n\r\n');
  socket.pause();
  await once(server, 'request');
  const connections = () =>
    new Promise<number>((resolve, reject) => {
      server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  await expect.poll(connections, { timeout: 20_000 }).toBe(0);
  // What the kernel's buffers of both sides take, and no more.
  expect(written).toBeLessThan(32 * 1024 * 1024);
  const afterwards = written;
  await expect.poll(connections).toBe(0);
  expect(written).toBe(afterwards);
  socket.destroy();
});
