import type { Api } from 'grammy/web';
import type { Background } from '#src/background.ts';
import type { Backend } from '#src/backend/backend.ts';
import type { Lanes } from '#src/lanes.ts';
import type { Logger } from '#src/logger.ts';
import type { Throttle } from '#src/throttle.ts';
import type { Canvas } from './preview.ts';

/** What the bot's work needs; made once by `main.ts`. */
export interface Chat {
  api: Api;
  backend: Backend;
  logger: Logger;
  background: Background;
  /** One lane a chat: its answers leave one at a time. */
  sending: Lanes;
  /** One lane a chat: an answer that is being written is not seen before the earlier ones are sent. */
  answering: Lanes;
  previews: Set<Canvas>;
  /** The backend's ids of the answers that this process is sending. */
  beingSent: Set<string>;
  /** Remarks of the bot's own that would tire if they were repeated. */
  remarks: Throttle;
  /** Previews as native drafts, where Telegram has them. */
  drafts: boolean;
  /** Aborted when the process is told to stop: nothing new is begun, and nothing waited for. */
  stop: AbortSignal;
}
