import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { SSEMessage } from 'hono/streaming';
import type { Chat } from '#src/chat/chat.ts';
import { handleMessage } from '#src/chat/handle-message.ts';
import type { IncomingMessage } from '#src/chat/handle-message.ts';
import type { HttpEnv } from './env.ts';
import { toProblem } from './problem.ts';
import { untilTaken } from './stall-guard.ts';

/** Silence longer than this makes some proxies hang up; a comment line breaks it. */
const KEEP_ALIVE_EVERY_MS = 15_000;

/**
 * Answers as server-sent events. What fails before the turn is stored is an ordinary problem
 * response; after that the stream has begun and the problem is its `error` event.
 */
export async function streamReply(
  c: Context<HttpEnv>,
  chat: Chat,
  message: IncomingMessage,
): Promise<Response> {
  const accepted = Promise.withResolvers<{ turn_id: string; session_id: string }>();
  let deltas: string[] = [];
  let wake = Promise.withResolvers<void>();
  const reply = handleMessage(chat, message, {
    accepted(turn) {
      c.set('turn', { turn_id: turn.turn_id });
      accepted.resolve(turn);
    },
    answered: (facts) => c.set('turn', facts),
    delta: (text) => {
      deltas.push(text);
      wake.resolve();
    },
    signal: c.req.raw.signal,
  });
  const ended = reply.then(wakeUp, wakeUp);
  const turn = await Promise.race([accepted.promise, reply.then(() => accepted.promise)]);

  function wakeUp(): 'ended' {
    wake.resolve();
    return 'ended';
  }

  return streamSSE(c, async (stream) => {
    const send = (event: SSEMessage) => untilTaken(stream.writeSSE(event), c.env.outgoing);
    const keepAlive = setInterval(() => void stream.write(': waiting\n\n'), KEEP_ALIVE_EVERY_MS);
    try {
      await send({ event: 'accepted', data: JSON.stringify(turn) });
      let state: string | undefined;
      while (state !== 'ended' || deltas.length > 0) {
        const texts = deltas;
        deltas = [];
        if (texts.length > 0) {
          await send({ event: 'delta', data: JSON.stringify({ text: texts.join('') }) });
          continue;
        }
        wake = Promise.withResolvers<void>();
        if (deltas.length === 0) {
          state = await Promise.race([ended, wake.promise.then(() => 'more')]);
        }
      }
      const last = await reply.then(
        (body) => ({ event: 'message', data: JSON.stringify(body) }),
        (error: unknown) => ({
          event: 'error',
          data: JSON.stringify(toProblem(error, c.get('requestId'))),
        }),
      );
      await send(last);
    } finally {
      clearInterval(keepAlive);
    }
  });
}
