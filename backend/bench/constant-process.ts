import { serve } from '@hono/node-server';
import { Hono } from 'hono';

/** What HTTP and the load generator cost by themselves: the same server, answering a constant. */
const reply = { text: 'constant', type: 'message', session_id: 's', turn_id: '1', replayed: false };
const app = new Hono();
app.post('/v1/chat/handle', (c) => c.json(reply));
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, (address) => process.send?.(address));
