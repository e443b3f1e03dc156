import type { HookContext, HookRegistry } from './directus.ts';
import { isOperator } from './operators.ts';
import { refusal } from './refusal.ts';

/**
 * An administrator's flow works with the flow's rights, and Directus lets everybody run it who may
 * read its collection: a Viewer could change by it what a Viewer may not change.
 */
export function refuseFlows({ init }: HookRegistry, { env }: HookContext): void {
  init('middlewares.after', ({ app }) => {
    app.use('/flows/trigger', (req, _, next) => {
      const isSignedIn = (req.accountability?.user ?? null) !== null;
      const isRefused = isSignedIn && !isOperator(req.accountability, env);
      next(isRefused ? refusal('Only operators may run flows.') : undefined);
    });
  });
}
