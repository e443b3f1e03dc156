import { z } from 'zod';
import { loadConfig } from './config.ts';
import { runEntry } from './run-entry.ts';
import { StartError } from './start-error.ts';

const Answer = z.object({ user_id: z.string().optional(), detail: z.string().optional() });

/** `pnpm access:approve CODE`: lets a user in, through the API that runs on this machine. */
await runEntry(async () => {
  const { server } = loadConfig();
  const pairingCode = process.argv[2];
  if (pairingCode === undefined) throw new StartError('Usage: pnpm access:approve CODE');
  const api = `http://${server.host === '0.0.0.0' ? '127.0.0.1' : server.host}:${server.port}`;
  const response = await fetch(`${api}/v1/access/approve`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${server.apiKeys[0] ?? ''}`,
    },
    body: JSON.stringify({ pairing_code: pairingCode }),
  }).catch((error: unknown) => {
    throw new StartError(
      `The API does not answer on ${api}; start it, or set HOST and PORT to its own.`,
      {
        cause: error,
      },
    );
  });
  const answer = Answer.parse(await response.json());
  if (answer.user_id === undefined) throw new StartError(answer.detail ?? 'The API refused.');
  console.log(`User ${answer.user_id} may speak now.`);
});
