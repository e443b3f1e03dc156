import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Pool } from 'pg';
import { loadConfig } from '#src/config.ts';
import { createLogger } from '#src/logger.ts';
import { serveApi } from '#src/serve-api.ts';

/** The 200 answer to `handle`. */
export interface Reply {
  text: string;
  type: string;
  session_id: string;
  turn_id: string;
  reply_message_id: string;
  replayed: boolean;
  delivery: string;
}

export interface HandleBody {
  user_id: string;
  chat_id: string;
  text: string;
  message_id?: string;
  channel?: string;
}

/** A response with its parsed body. `Body` is what the caller expects there. */
export interface Answer<Body> {
  status: number;
  body: Body;
  headers: Headers;
}

type Init = Omit<RequestInit, 'headers'> & { headers?: Record<string, string> };

/** The API as its callers have it: over HTTP only. */
export interface ApiClient {
  url: string;
  post<Body = Record<string, unknown>>(
    path: string,
    body: unknown,
    init?: Init,
  ): Promise<Answer<Body>>;
  get<Body = Record<string, unknown>>(path: string, init?: Init): Promise<Answer<Body>>;
  /** `POST /v1/chat/handle`; user and message id default to none in particular. */
  handle(
    body: Partial<HandleBody> & { chat_id: string; text: string },
  ): Promise<Answer<Reply & { code?: string }>>;
}

export interface ApiOptions {
  databaseUrl: string;
  /** The fake model's; absent: the offline model. */
  modelUrl?: string;
  /** More environment variables. */
  env?: Record<string, string>;
}

/** A line of the log, as JSON has it. */
export type LogLine = Record<string, unknown>;

/** Serves the API in this process, on a free port. `log` gets its log's lines; without it there are none. */
export async function startApi(
  options: ApiOptions,
  log?: LogLine[],
): Promise<ApiClient & { close(): Promise<void> }> {
  const config = loadConfig(environmentOf(options));
  const logger = createLogger(log === undefined ? 'silent' : 'info', {
    write: (line) => log?.push(JSON.parse(line)),
  });
  const api = await serveApi(config, options.databaseUrl, logger);
  return { ...clientOf(api.url), close: api.close };
}

export interface ApiProcess extends ApiClient {
  pid: number;
  kill(signal: NodeJS.Signals): void;
  /** The exit code, null after a deadly signal. */
  exited: Promise<number | null>;
}

/** Serves the API in a process of its own, and resolves once it is ready. */
export async function spawnApi(
  options: ApiOptions,
  entry = fileURLToPath(new URL('../src/api.ts', import.meta.url)),
): Promise<ApiProcess> {
  const child = spawn(process.execPath, [entry], {
    env: { PATH: process.env.PATH, ...environmentOf(options), LOG_LEVEL: 'info' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit').then(([code]: (number | null)[]) => code ?? null);
  let complaints = '';
  child.stderr.on('data', (data) => (complaints += String(data)));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const ready = /"url":"([^"]+)".*"API ready"/.exec(line)?.[1];
      if (ready !== undefined) resolve(ready);
    });
    void exited.then((code) => reject(new Error(`The API ended with ${code}: ${complaints}`)));
  });
  return { ...clientOf(url), pid: child.pid ?? 0, kill: (signal) => child.kill(signal), exited };
}

export function clientOf(url: string, headers: Record<string, string> = {}): ApiClient {
  const request = async (path: string, init: RequestInit) => {
    const response = await fetch(url + path, init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json');
    return {
      status: response.status,
      body: isJson === true ? JSON.parse(text) : text,
      headers: response.headers,
    };
  };
  const client: ApiClient = {
    url,
    get: (path, init) => request(path, { ...init, headers: { ...headers, ...init?.headers } }),
    post: (path, body, init) =>
      request(path, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...init,
        headers: { 'content-type': 'application/json', ...headers, ...init?.headers },
      }),
    handle: (body) =>
      client.post('/v1/chat/handle', { user_id: `user of ${body.chat_id}`, ...body }),
  };
  return client;
}

/** One server-sent event of a streamed answer. */
export interface StreamEvent<Data = Record<string, unknown>> {
  event: string;
  data: Data;
}

/** `handle` as a stream. `events` ends with the response; aborting `signal` hangs up. */
export async function streamHandle(
  api: ApiClient,
  body: Partial<HandleBody> & { chat_id: string; text: string },
  signal?: AbortSignal,
): Promise<{ response: Response; events: AsyncGenerator<StreamEvent> }> {
  const response = await fetch(`${api.url}/v1/chat/handle`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ user_id: `user of ${body.chat_id}`, ...body }),
    signal,
  });
  return { response, events: readEvents(response) };
}

/** All events until the end of the response. */
export async function allEvents(events: AsyncIterable<StreamEvent>): Promise<StreamEvent[]> {
  const all = [];
  for await (const event of events) all.push(event);
  return all;
}

async function* readEvents(response: Response): AsyncGenerator<StreamEvent> {
  let rest = '';
  for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const event = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (event !== undefined && data !== undefined) yield { event, data: JSON.parse(data) };
    }
  }
}

/** Direct access to the database, as an operator has it. */
export function openSql(databaseUrl: string) {
  const pool = new Pool({ connectionString: databaseUrl, max: 8 });
  pool.on('error', () => {});
  return {
    /** The rows of one statement. */
    async rows<Row extends object = Record<string, unknown>>(
      text: string,
      values: unknown[] = [],
    ): Promise<Row[]> {
      return (await pool.query<Row>(text, values)).rows;
    },
    close: () => pool.end(),
  };
}

export type Sql = ReturnType<typeof openSql>;

function environmentOf({ databaseUrl, modelUrl, env }: ApiOptions): Record<string, string> {
  return {
    PORT: '0',
    DATABASE_URL: databaseUrl,
    ...(modelUrl === undefined ? {} : { LLM_BASE_URL: modelUrl, LLM_MODEL: 'fake' }),
    ...env,
  };
}
