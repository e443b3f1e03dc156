import type { Writable } from 'node:stream';

/** As much of what Directus hands to an endpoint as this one uses. */
export interface Accountability {
  user: string | null;
  role: string | null;
  admin: boolean;
}

export interface Request {
  accountability?: Accountability;
  schema: unknown;
  method: string;
  /** With the query, after `/desk`. */
  url: string;
  params: Record<string, string>;
  query: Record<string, string | undefined>;
  body: unknown;
}

export interface Response extends Writable {
  status(code: number): Response;
  json(body: unknown): void;
  setHeader(name: string, value: string): void;
  headersSent: boolean;
}

type Handler = (req: Request, res: Response, next: (error: unknown) => void) => Promise<void>;

export interface Router {
  get(path: string, handler: Handler): void;
  post(path: string, handler: Handler): void;
}

export interface HookRegistry {
  init: (event: 'middlewares.after', handler: (meta: { app: App }) => void) => void;
  filter: (
    event: string,
    handler: (payload: unknown, meta: { collection: string }) => void,
  ) => void;
}

export interface HookContext {
  env: Environment;
}

interface App {
  use(
    path: string,
    handler: (req: Request, res: Response, next: (error?: unknown) => void) => void,
  ): void;
}

/** What our own part of Directus' environment says. */
export interface Environment {
  DESK_BACKEND_URL?: string;
  DESK_API_KEY?: string;
  /** The role whose users may do what the backend does for operators. */
  DESK_OPERATOR_ROLE?: string;
}

export interface ItemsService {
  readByQuery(query: object): Promise<Record<string, unknown>[]>;
}

export interface Context {
  env: Environment;
  services: {
    ItemsService: new (
      collection: string,
      options: { accountability: Accountability; schema: unknown; knex: unknown },
    ) => ItemsService;
  };
  database: {
    transaction<Result>(
      work: (trx: unknown) => Promise<Result>,
      options: { isolationLevel: 'repeatable read'; readOnly: boolean },
    ): Promise<Result>;
  };
}
