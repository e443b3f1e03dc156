import type { Logger } from '#src/logger.ts';

/** What a request carries through the handlers. */
export interface HttpEnv {
  Variables: {
    requestId: string;
    logger: Logger;
    /** Set where the response is a problem, for the request's log line. */
    problemCode?: string;
    /** Ids for the request's log line. */
    turnId?: string;
  };
}
