import type { Environment, Request, Response } from './directus.ts';
import { isOperator } from './operators.ts';

const TIMEOUT_MS = 20_000;

/** Passes an operator's deed on to the backend, in their name. The backend checks them again. */
export async function callBackend(env: Environment, req: Request, res: Response): Promise<void> {
  const who = req.accountability;
  const { DESK_BACKEND_URL: url, DESK_API_KEY: key } = env;
  if (!isOperator(who, env)) return refuse(res, 403, 'operator_not_allowed');
  if (!key) return refuse(res, 503, 'desk_not_configured');
  const path = req.url.slice('/backend'.length);
  let answer: globalThis.Response;
  try {
    answer = await fetch(new URL(path, url), {
      method: req.method,
      headers: {
        authorization: `Bearer ${key}`,
        'x-operator': who.user,
        'content-type': 'application/json',
      },
      body: req.method === 'POST' ? JSON.stringify(req.body ?? {}) : undefined,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    return refuse(res, 502, 'backend_unreachable');
  }
  const text = await answer.text();
  res.status(answer.status).setHeader('content-type', 'application/json');
  res.end(text);
}

function refuse(res: Response, status: number, code: string): void {
  res.status(status).json({ code });
}
