import type { ServerResponse } from 'node:http';

/** A caller that takes nothing for so long is gone or broken; what it did not take waits in the outbox. */
const STALLED_MS = 30_000;

/** Waits for a write to be taken, and cuts the connection where its caller does not read: memory stays bounded. */
export async function untilTaken(
  write: Promise<unknown>,
  outgoing: Pick<ServerResponse, 'destroy'>,
  stalledMs = STALLED_MS,
): Promise<void> {
  const timer = setTimeout(() => outgoing.destroy(), stalledMs);
  try {
    await write;
  } finally {
    clearTimeout(timer);
  }
}
