import type { Config } from './config.ts';
import { createMetricsApp } from './http/app.ts';
import { createHttpServer, listen } from './http/server.ts';
import { explainListenError } from './listen-error.ts';
import type { Logger } from './logger.ts';
import type { Registry } from './metrics.ts';

/** Shows the worker's metrics on WORKER_METRICS_PORT; undefined where it is not set. */
export async function serveWorkerMetrics(
  { server: { host, apiKeys }, workerMetricsPort: port }: Config,
  registry: Registry,
  logger: Logger,
): Promise<{ url: string; close: () => void } | undefined> {
  if (port === undefined) return undefined;
  const app = createMetricsApp({ apiKeys, metrics: () => registry.metrics() }, logger);
  const server = createHttpServer(app, host);
  const url = await listen(server, host, port).catch((error: unknown) => {
    throw explainListenError(error, { host, port }, 'WORKER_METRICS_PORT') ?? error;
  });
  return {
    url,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
