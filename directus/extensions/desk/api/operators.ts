import type { Accountability, Environment } from './directus.ts';

/** May act, not only read. */
export function isOperator(
  who: Accountability | undefined,
  { DESK_OPERATOR_ROLE: operatorRole }: Environment,
): who is Accountability & { user: string } {
  return (
    who !== undefined &&
    who.user !== null &&
    (who.admin || (operatorRole !== undefined && who.role === operatorRole))
  );
}
