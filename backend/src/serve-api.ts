import { once } from 'node:events';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import type { Config } from './config.ts';
import type { Logger } from './logger.ts';

/** Placeholder until the real API arrives. */
export async function serveApi(
  config: Config,
  _databaseUrl: string,
  _logger: Logger,
): Promise<{ url: string; close(): Promise<void> }> {
  const app = new Hono().get('/health', (c) => c.json({ status: 'ok' }));
  const { host, port } = config.server;
  const server = serve({ fetch: app.fetch, hostname: host, port });
  await once(server, 'listening');
  const address = server.address();
  const actual = address !== null && typeof address === 'object' ? address.port : port;
  return {
    url: `http://${host}:${actual}`,
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
