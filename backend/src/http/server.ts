import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { AppError } from '#src/errors.ts';
import type { HttpEnv } from './env.ts';
import { problemText, respondToBrokenRequest } from './problem.ts';

/** How long a caller may take, in milliseconds; who is slower is cut off. */
export interface HttpTimeouts {
  /** For the request's headers, from its first byte. */
  headers: number;
  /** For the whole request, body included. */
  request: number;
  /** Between two requests. Longer than the idle time of balancers (a minute), which else reuse what we just closed. */
  keepAlive: number;
  /** How often the first two are looked at. */
  check: number;
}

const usual: HttpTimeouts = { headers: 10_000, request: 30_000, keepAlive: 65_000, check: 2_000 };

/**
 * Callers that connect while the process is busy. Beyond it the system drops their first packet, and
 * they try again after seconds; it allows itself no more than this on most machines.
 */
const MAX_WAITING_CONNECTIONS = 4_096;

/** The HTTP server of an app, which also answers what never becomes a request. */
export function createHttpServer(
  app: Pick<Hono<HttpEnv>, 'fetch'>,
  hostname: string,
  timeouts = usual,
): Server {
  const listener = getRequestListener(app.fetch, {
    hostname,
    errorHandler: respondToBrokenRequest,
    // It cuts the connection half a second later, in the middle of the caller's next request.
    autoCleanupIncoming: false,
  });
  const server = createServer(
    {
      headersTimeout: timeouts.headers,
      requestTimeout: timeouts.request,
      keepAliveTimeout: timeouts.keepAlive,
      connectionsCheckingInterval: timeouts.check,
    },
    (incoming, outgoing) => void listener(incoming, outgoing),
  );
  server.on('clientError', answerBroken);
  return server;
}

/** Resolves with the server's URL; rejects where it cannot listen. `port` 0 is any free one. */
export async function listen(server: Server, host: string, port: number): Promise<string> {
  server.listen({ port, host, backlog: MAX_WAITING_CONNECTIONS });
  await once(server, 'listening');
  const address = server.address();
  const taken = typeof address === 'object' ? address?.port : undefined;
  return `http://${host.includes(':') ? `[${host}]` : host}:${taken}`;
}

/** What Node's parser refuses has no request to respond to, so the response is written by hand. */
function answerBroken(error: NodeJS.ErrnoException, socket: Duplex): void {
  // A response that has begun cannot be followed by another.
  if (!socket.writable || ('bytesWritten' in socket && Number(socket.bytesWritten) > 0)) {
    socket.destroy();
    return;
  }
  const { status, text } = problemText(asProblem(error));
  socket.end(
    `HTTP/1.1 ${status} Problem\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  );
}

function asProblem(error: NodeJS.ErrnoException): AppError {
  switch (error.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new AppError('request_timeout', 'The request did not arrive in time.');
    case 'HPE_HEADER_OVERFLOW':
      return new AppError('headers_too_large', 'The headers may have at most 16 KiB.');
    default:
      return new AppError('malformed_request', 'The request is not valid HTTP.');
  }
}
