import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { respond, sendJson } from './fake-model-response.ts';
import type { FakeModelBehaviour, FakeModelRequestBody } from './fake-model-response.ts';

/** One request as the fake saw it. Times are `performance.now()` of the fake's process. */
export interface FakeModelRequest {
  body: FakeModelRequestBody;
  headers: IncomingHttpHeaders;
  /** The same for requests that came over the same connection. */
  clientPort: number | undefined;
  startedAt: number;
  /** Absent while the request is open. */
  endedAt?: number;
  /** The caller closed the connection before the fake had answered. */
  closedByClient: boolean;
}

export type FakeModelScript = FakeModelBehaviour | FakeModelBehaviour[] | Behave;

type Behave = (
  body: FakeModelRequestBody,
  index: number,
) => FakeModelBehaviour | Promise<FakeModelBehaviour>;

export interface FakeModel {
  /** The base URL for an OpenAI client, ending in `/v1`. */
  url: string;
  /** Every request so far, in order of arrival. */
  requests: FakeModelRequest[];
  /** From now on: one behaviour for all, a list by request (counted from now, the last repeats), or a function. */
  behave(script: FakeModelScript): void;
  close(): Promise<void>;
}

/** An OpenAI-compatible model server for tests, on 127.0.0.1. Without a script it echoes the last user message. */
export async function startFakeModel({ port = 0 }: { port?: number } = {}): Promise<FakeModel> {
  const requests: FakeModelRequest[] = [];
  let behave: Behave = toFunction({ kind: 'reply' });
  let firstIndex = 0;
  const dropped = new WeakSet<ServerResponse>();
  const server = createServer((req, res) => {
    void serve(req, res).catch(() => res.destroy());
  });

  async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body: FakeModelRequestBody = JSON.parse(await readText(req));
    const request: FakeModelRequest = {
      body,
      headers: req.headers,
      clientPort: req.socket.remotePort,
      startedAt: performance.now(),
      closedByClient: false,
    };
    const index = requests.push(request) - 1 - firstIndex;
    res.on('close', () => {
      request.endedAt = performance.now();
      request.closedByClient = !res.writableEnded && !dropped.has(res);
    });
    if (req.method !== 'POST' || req.url !== '/v1/chat/completions') {
      sendJson(res, 404, { error: { message: `No route ${req.method} ${req.url}` } });
      return;
    }
    const behaviour = await behave(body, index);
    if (behaviour.kind === 'close-mid-stream') dropped.add(res);
    await respond(res, body, behaviour);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The fake has no TCP port');
  return {
    url: `http://127.0.0.1:${address.port}/v1`,
    requests,
    behave(script) {
      firstIndex = requests.length;
      behave = toFunction(script);
    },
    async close() {
      const closed = new Promise((resolve) => {
        server.close(resolve);
      });
      server.closeAllConnections();
      await closed;
    },
  };
}

function toFunction(script: FakeModelScript): Behave {
  if (typeof script === 'function') return script;
  if (!Array.isArray(script)) return () => script;
  return (_, index) => script[Math.min(index, script.length - 1)] ?? { kind: 'reply' };
}

async function readText(req: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of req.setEncoding('utf8')) text += String(part);
  return text;
}
