import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';

/** A server's address that can be taken away: `down` refuses and cuts, `hang` accepts and says nothing. */
export interface TcpGate {
  url: string;
  set(state: 'up' | 'down' | 'hang'): void;
  close(): void;
}

export async function openTcpGate(target: string): Promise<TcpGate> {
  const { hostname, port } = new URL(target);
  let state: 'up' | 'down' | 'hang' = 'up';
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    sockets.add(client.on('close', () => sockets.delete(client)).on('error', () => {}));
    if (state === 'down') client.destroy();
    if (state === 'hang') client.resume();
    if (state !== 'up') return;
    const upstream = connect(Number(port || 6379), hostname);
    sockets.add(upstream.on('close', () => client.destroy()).on('error', () => {}));
    client.on('close', () => upstream.destroy());
    client.pipe(upstream).pipe(client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the gate has no port');
  return {
    url: Object.assign(new URL(target), { hostname: '127.0.0.1', port: address.port }).href,
    set(next) {
      state = next;
      for (const socket of sockets) {
        if (next === 'hang') socket.unpipe().resume();
        else socket.destroy();
      }
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
