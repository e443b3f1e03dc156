import { EventSourceParserStream } from 'eventsource-parser/stream';
import { z } from 'zod';
import { networkReason } from './network-reason.ts';
import { BackendUnavailable, ProblemBody, toBackendError } from './problem.ts';

export const Reply = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('message'),
    text: z.string(),
    reply_message_id: z.string(),
    replayed: z.boolean(),
    delivery: z.enum(['pending', 'sending', 'sent', 'uncertain', 'failed']),
  }),
  /** An operator holds the chat: nothing is to be sent. */
  z.object({ type: z.literal('silence') }),
]);
export type Reply = z.infer<typeof Reply>;

/** `accepted` comes first and once; `message` is the last. `silent`: it will be a silence. */
export type TurnEvent =
  | { kind: 'accepted'; silent: boolean }
  | { kind: 'delta'; text: string }
  | { kind: 'message'; reply: Reply };

const Accepted = z.object({ silent: z.boolean().default(false) });
const Delta = z.object({ text: z.string() });

/** A stream that breaks off before its `message` is `BackendUnavailable`; an `error` event is thrown. */
export async function* readTurnEvents(response: Response): AsyncGenerator<TurnEvent> {
  const events = response.body
    ?.pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream());
  try {
    for await (const { event, data } of events ?? []) {
      const body: unknown = JSON.parse(data);
      if (event === 'accepted') yield { kind: 'accepted', ...Accepted.parse(body) };
      if (event === 'delta') yield { kind: 'delta', text: Delta.parse(body).text };
      if (event === 'message') return yield { kind: 'message', reply: Reply.parse(body) };
      if (event === 'error') throw toBackendError(ProblemBody.parse(body));
    }
  } catch (error) {
    if (error instanceof TypeError) {
      throw new BackendUnavailable(networkReason(error), { cause: error });
    }
    throw error;
  }
  throw new BackendUnavailable('its answer broke off');
}
