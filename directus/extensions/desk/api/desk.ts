import { callBackend } from './call-backend.ts';
import type { Context, Request, Response, Router } from './directus.ts';
import { exportRows } from './export-rows.ts';

/**
 * The desk's own routes, under `/desk`: the backend's deeds for operators, and exports for whoever
 * may read. Directus has told by then who is asking.
 */
export function desk(router: Router, context: Context): void {
  for (const method of ['get', 'post'] as const) {
    router[method](
      '/backend/*',
      guarded((req, res) => callBackend(context.env, req, res)),
    );
  }
  router.get(
    '/export/:collection',
    guarded((req, res) => exportRows(context, req, res)),
  );
}

type Handler = (req: Request, res: Response) => Promise<void>;

/** A failure is Directus' own to answer: it knows its errors. */
function guarded(handler: Handler) {
  return async (req: Request, res: Response, next: (error: unknown) => void) => {
    try {
      await handler(req, res);
    } catch (error) {
      next(error);
    }
  };
}
