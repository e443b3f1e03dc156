import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createFakeQdrant } from './fake-qdrant.ts';
import type { StoreAnswer, StoreRequest } from './fake-qdrant.ts';
import { listenLocally } from './listen-locally.ts';

/** A vector store behind a door that can be shut: Qdrant at QDRANT_URL where that is set, else our own. */
export interface TestVectorStore {
  url: string;
  kind: string;
  /** Shut: every connection is cut. */
  isDown: boolean;
  /** Called with each request; what it waits for, the request waits for. */
  before: (request: StoreRequest) => Promise<void> | void;
  /** Cuts the connection when the work is done, where it says so. */
  losesAnswer: (request: StoreRequest) => boolean;
  close(): Promise<void>;
}

export async function startVectorStore(): Promise<TestVectorStore> {
  const real = process.env.QDRANT_URL ?? '';
  const fake = real === '' ? createFakeQdrant() : undefined;
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy());
  });
  const { url, close } = await listenLocally(server);
  const store: TestVectorStore = {
    url,
    close,
    kind: fake ? 'a strict fake of its REST API' : `Qdrant at ${real}`,
    isDown: false,
    before: () => {},
    losesAnswer: () => false,
  };

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = {
      method: incoming.method ?? 'GET',
      path: incoming.url ?? '/',
      body: await readText(incoming),
    };
    if (store.isDown) return void incoming.socket.destroy();
    await store.before(request);
    const answer = fake ? fake(request) : await ask(real, request, incoming.headers);
    if (store.isDown || store.losesAnswer(request)) return void incoming.socket.destroy();
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
  }
  console.log(`The vector store of these tests is ${store.kind}.`);
  return store;
}

async function ask(
  base: string,
  { method, path, body }: StoreRequest,
  headers: IncomingHttpHeaders,
): Promise<StoreAnswer> {
  const key = headers['api-key'];
  const answer = await fetch(new URL(path, base), {
    method,
    headers: {
      'content-type': 'application/json',
      ...(typeof key === 'string' ? { 'api-key': key } : {}),
    },
    ...(body === '' ? {} : { body }),
  });
  return { status: answer.status, body: await answer.text() };
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
