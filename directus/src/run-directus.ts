import { createRequire } from 'node:module';

/**
 * Runs Directus in this process: `bootstrap` makes or migrates its tables and ends, `serve` serves.
 * Not by its own command, which first asks a registry for a newer version.
 */
const require = createRequire(createRequire(import.meta.url).resolve('directus/package.json'));
const [command] = process.argv.slice(2);

// Our parent is gone, however it ended.
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));

if (command === 'serve') {
  const { startServer }: { startServer: () => Promise<void> } = await import(
    require.resolve('@directus/api/server')
  );
  await startServer();
} else {
  await import(require.resolve('@directus/api/cli/run.js'));
}
