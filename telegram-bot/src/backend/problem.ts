import { z } from 'zod';

/** The backend's `application/problem+json`, as far as the bot looks at it. */
export const ProblemBody = z.object({
  status: z.number().optional(),
  code: z.string(),
  detail: z.string().optional(),
  retry_after: z.number().optional(),
  pairing_code: z.string().optional(),
});

/** The backend has decided: it will not do this. */
export class BackendProblem extends Error {
  readonly code: string;
  readonly retryAfterSeconds: number | undefined;
  readonly pairingCode: string | undefined;

  constructor(body: z.infer<typeof ProblemBody>) {
    super(`the backend answered ${body.code}: ${body.detail ?? ''}`);
    this.name = 'BackendProblem';
    this.code = body.code;
    this.pairingCode = body.pairing_code;
    this.retryAfterSeconds = body.retry_after;
  }
}

/** It cannot do it now, or did not say whether it did: the same call can be made again. */
export class BackendUnavailable extends Error {
  /** How long it asks to be left alone. */
  readonly retryAfterSeconds: number | undefined;
  /** It is there, and takes others' calls meanwhile. */
  readonly isBusy: boolean;

  constructor(
    reason: string,
    options?: ErrorOptions & { retryAfterSeconds?: number; isBusy?: boolean },
  ) {
    super(reason, options);
    this.name = 'BackendUnavailable';
    this.retryAfterSeconds = options?.retryAfterSeconds;
    this.isBusy = options?.isBusy ?? false;
  }
}

/** Codes that pass by themselves, or when the operator mends the configuration. */
const passing: Record<string, string> = {
  overloaded: 'it has too much to do',
  shutting_down: 'it is shutting down',
  database_unavailable: 'its database cannot be reached',
  unauthorized: 'it refuses the key; set BACKEND_API_KEY to one of its API_KEY',
  host_not_allowed:
    'it serves local names only without API_KEY; set API_KEY there and BACKEND_API_KEY here',
};

/** A problem as the error to throw. */
export function toBackendError(
  body: z.infer<typeof ProblemBody>,
): BackendProblem | BackendUnavailable {
  const problem = new BackendProblem(body);
  const reason = passing[body.code];
  if (reason === undefined) return problem;
  return new BackendUnavailable(reason, {
    cause: problem,
    retryAfterSeconds: body.retry_after,
    isBusy: body.code === 'overloaded',
  });
}
