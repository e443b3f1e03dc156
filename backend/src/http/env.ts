import type { ServerResponse } from 'node:http';
import type { TurnFacts } from '#src/chat/running-turn.ts';
import type { Logger } from '#src/logger.ts';

/** What a request carries through the handlers. */
export interface HttpEnv {
  /** As the server hands them in. */
  Bindings: { outgoing: ServerResponse };
  Variables: {
    requestId: string;
    logger: Logger;
    /** Set where the response is a problem, for the request's log line. */
    problemCode?: string;
    /** The operator's id in the panel, where the request came with the panel's key. */
    operator?: string;
    /** What the request's log line tells of its turn. */
    turn?: TurnFacts;
  };
}
