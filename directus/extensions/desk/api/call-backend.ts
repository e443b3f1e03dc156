import type { Accountability, Request, Response } from './directus.ts';

interface Settings {
  url: string;
  key: string;
  /** The role whose users may do what the backend does for operators. */
  operatorRole: string;
}

const TIMEOUT_MS = 20_000;

/** Passes an operator's deed on to the backend, in their name. The backend checks them again. */
export async function callBackend(
  { url, key, operatorRole }: Settings,
  req: Request,
  res: Response,
): Promise<void> {
  const who = req.accountability;
  if (!isOperator(who, operatorRole)) return refuse(res, 403, 'operator_not_allowed');
  if (key === '') return refuse(res, 503, 'desk_not_configured');
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

function isOperator(
  who: Accountability | undefined,
  operatorRole: string,
): who is Accountability & { user: string } {
  return who !== undefined && who.user !== null && (who.admin || who.role === operatorRole);
}

function refuse(res: Response, status: number, code: string): void {
  res.status(status).json({ code });
}
