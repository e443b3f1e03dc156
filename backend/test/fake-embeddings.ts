import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { listenLocally } from './listen-locally.ts';

/** Words of one sense point in one direction, whatever the language. */
const senses = [
  'dog puppy beagle hound pet собака щенок',
  'car automobile vehicle parked garage машина автомобиль',
  'sick ill fever flu doctor unwell',
  'job work employer career hired',
  'home flat apartment residence moved',
  'dinner meal cuisine dish ate',
  'child daughter kid son baby',
  'trip journey travel vacation holiday',
  'money salary pay income wage',
  'music violin instrument song',
].map((words) => words.split(' '));

const DIMENSION = 64;

export interface FakeEmbeddings {
  /** The base URL for an OpenAI client. */
  url: string;
  /** What it was asked to embed. */
  texts: string[];
  /** Of whatever comes; undefined: it answers well. */
  failure: 'error' | 'overload' | 'cut' | 'hang' | 'garbage' | undefined;
  dimension: number;
  /** Texts with this word are refused. */
  poison: string | undefined;
  close(): Promise<void>;
}

const Request = z.strictObject({
  model: z.string(),
  input: z.array(z.string().min(1)).min(1),
  encoding_format: z.literal('float'),
});

/**
 * An embeddings server for tests. It knows the senses above and nothing else: no name, no number.
 * What else a text says only makes it differ from others.
 */
export async function startFakeEmbeddings(): Promise<FakeEmbeddings> {
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.writeHead(400).end('{}'));
  });
  const { url, close } = await listenLocally(server);
  const fake: FakeEmbeddings = {
    url: `${url}/v1`,
    texts: [],
    failure: undefined,
    dimension: DIMENSION,
    poison: undefined,
    close,
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const send = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const { failure, poison, dimension } = fake;
    if (failure === 'hang') return;
    if (failure === 'cut') return void request.socket.destroy();
    if (failure === 'error') return void send(500, { error: { message: 'out of order' } });
    if (failure === 'overload') return void send(429, { error: { message: 'slow down' } });
    if (failure === 'garbage') return void send(200, { data: [{ index: 0 }] });
    if (request.url === '/v1/models') return void send(200, { object: 'list', data: [] });
    const { input, model } = Request.parse(JSON.parse(text));
    fake.texts.push(...input);
    if (poison !== undefined && input.some((one) => one.includes(poison))) {
      return void send(400, { error: { message: 'the input is not acceptable' } });
    }
    const data = input.map((one, index) => ({
      object: 'embedding',
      index,
      embedding: embed(one, dimension),
    }));
    send(200, { object: 'list', model, data, usage: { prompt_tokens: 0, total_tokens: 0 } });
  }
  return fake;
}

function embed(text: string, dimension: number): number[] {
  const words = text.toLowerCase().split(/[^\p{L}]+/u);
  const noise = createHash('sha512').update(text).digest();
  return Array.from({ length: dimension }, (_, place) => {
    const sense = senses[place] ?? [];
    const known = words.filter((word) => sense.includes(word)).length;
    return known + ((noise[place % noise.length] ?? 0) / 255 - 0.5) / 8;
  });
}
