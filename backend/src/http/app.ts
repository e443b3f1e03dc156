import { OpenAPIHono } from '@hono/zod-openapi';
import type { Chat } from '#src/chat/chat.ts';
import { AppError } from '#src/errors.ts';
import type { FieldError } from '#src/errors.ts';
import type { Logger } from '#src/logger.ts';
import { addAccessRoutes } from './access-routes.ts';
import {
  limitBody,
  admitOperators,
  requireApiKey,
  requireJson,
  requireLocalHost,
} from './guards.ts';
import { addChatRoutes } from './chat-routes.ts';
import { addDeliveryRoutes } from './delivery-routes.ts';
import type { HttpEnv } from './env.ts';
import { addHealthRoute } from './health-route.ts';
import { addMemoryRoutes } from './memory-routes.ts';
import { addMetricsRoute } from './metrics-route.ts';
import { addOperatorRoutes } from './operator-routes.ts';
import { addPage } from './page.ts';
import { respondWithProblem } from './problem.ts';
import { logRequest } from './request-log.ts';
import { addRetryRoutes } from './retry-routes.ts';
import { addTurnRoutes } from './turn-routes.ts';

const MAX_BODY_BYTES = 256 * 1024;

export interface HttpSettings {
  /** Any of these is accepted; none at all means loopback only, without a key. */
  apiKeys: string[];
  /** In Prometheus's text format. */
  metrics: () => Promise<string>;
}

/** The HTTP API: parses, checks, calls the use cases, answers. */
export function createApp(
  chat: Chat,
  settings: HttpSettings & { deskApiKey: string | undefined },
): OpenAPIHono<HttpEnv> {
  const app = createBareApp(chat.logger);
  addHealthRoute(app, chat);
  if (settings.apiKeys.length === 0) app.use(requireLocalHost);
  addPage(app);
  if (settings.deskApiKey !== undefined) app.use(admitOperators(settings.deskApiKey, chat));
  if (settings.apiKeys.length > 0) app.use(requireApiKey(settings.apiKeys));
  app.use(requireJson);
  app.use(limitBody(MAX_BODY_BYTES));
  addChatRoutes(app, chat);
  addTurnRoutes(app, chat);
  addMemoryRoutes(app, chat);
  addDeliveryRoutes(app, chat);
  addAccessRoutes(app, chat);
  addOperatorRoutes(app, chat);
  addRetryRoutes(app, chat);
  addMetricsRoute(app, settings.metrics);
  addOpenApiDocument(app);
  return app;
}

/** What a worker shows: its metrics, to whom the API would show its own. */
export function createMetricsApp(settings: HttpSettings, logger: Logger): OpenAPIHono<HttpEnv> {
  const app = createBareApp(logger);
  app.use(settings.apiKeys.length > 0 ? requireApiKey(settings.apiKeys) : requireLocalHost);
  addMetricsRoute(app, settings.metrics);
  return app;
}

function createBareApp(logger: Logger): OpenAPIHono<HttpEnv> {
  const app = new OpenAPIHono<HttpEnv>({
    defaultHook: (result) => {
      if (!result.success) throw validationFailed(result.error.issues);
    },
  });
  app.use(logRequest(logger));
  app.onError((error, c) => respondWithProblem(c, error));
  app.notFound((c) =>
    respondWithProblem(c, new AppError('not_found', `There is no ${c.req.method} ${c.req.path}.`)),
  );
  return app;
}

function addOpenApiDocument(app: OpenAPIHono<HttpEnv>): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'ApiKey', {
    type: 'http',
    scheme: 'bearer',
    description:
      'One of the keys in API_KEY (not needed on loopback where none is set). ' +
      'With DESK_API_KEY, only what operators do, and `X-Operator` says who does it.',
  });
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: {
      title: 'LLM Bot Core',
      version: '0.1.0',
      description: 'Conversations, progressive summaries and memory for chat bots.',
      license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
    },
    security: [{ ApiKey: [] }],
  });
}

function validationFailed(issues: readonly { path: PropertyKey[]; message: string }[]): AppError {
  const errors: FieldError[] = issues.map((issue) => ({
    path: issue.path.join('.'),
    message: issue.message,
  }));
  const detail = errors.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
  return new AppError('validation_failed', `${detail.join('; ')}.`, { errors });
}
