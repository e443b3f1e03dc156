import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** A request or a response. */
interface Message {
  /** The first line and the headers. */
  head: string;
  body: string;
}

/**
 * As much of HTTP/1.1 as the load generator and the model need: on a connection one exchange at a
 * time, bodies in ASCII and of a told length. Whole clients and servers for both would take an eighth
 * of a turn, on the cores that are measured. Calls `take` with each message that has come whole.
 */
export function onMessage(socket: Socket, take: (message: Message) => void): void {
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
    const bodyAt = received.indexOf('\r\n\r\n') + 4;
    if (bodyAt < 4) return;
    const head = received.slice(0, bodyAt);
    const end = bodyAt + Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    if (received.length < end) return;
    const body = received.slice(bodyAt, end);
    received = '';
    take({ head, body });
  });
}

export function withLength(head: string, body: string): string {
  return `${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

export interface BareConnection {
  /** One at a time. Rejects where the connection ends before its answer. */
  ask: (request: string) => Promise<Message>;
  close: () => void;
}

export function openConnection(url: string): BareConnection {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  let answer = Promise.withResolvers<Message>();
  onMessage(socket, (message) => answer.resolve(message));
  socket.on('error', (error) => answer.reject(error));
  socket.on('close', () => answer.reject(new Error('The connection ended before its answer.')));
  return {
    async ask(request) {
      answer = Promise.withResolvers();
      socket.write(request);
      return await answer.promise;
    },
    close: () => socket.destroy(),
  };
}
