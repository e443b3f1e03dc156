import type { BackendProblem } from '#src/backend/problem.ts';
import type { Texts } from '#src/texts/texts.ts';

/** What the user is told of a problem; undefined where they know already. */
export function describeProblem(problem: BackendProblem, { problems }: Texts): string | undefined {
  switch (problem.code) {
    case 'turn_cancelled':
      return undefined;
    case 'access_denied':
      return problem.pairingCode === undefined
        ? problems.access
        : problems.pairing(problem.pairingCode);
    case 'rate_limited':
      return problems.rate(problem.retryAfterSeconds);
    case 'budget_exhausted':
      return problems.budget;
    case 'model_failed':
    case 'model_timeout':
      return problems.model;
    default:
      return problems.other;
  }
}
