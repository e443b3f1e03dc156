import type { Pool } from 'pg';
import type { Model } from '#src/clients/model.ts';
import type { Db } from '#src/db/connect.ts';
import type { TurnLimits, TurnStatements } from '#src/db/turn-statements.ts';
import type { Logger } from '#src/logger.ts';
import type { CountedText } from '#src/memory/count-tokens.ts';
import type { VectorSearch } from '#src/memory/recall/vector-search.ts';
import type { TurnMetrics } from '#src/metrics.ts';
import type { SummaryRequests } from '#src/memory/summaries.ts';
import type { Admission } from './admission.ts';
import type { RunningTurn } from './running-turn.ts';
import type { TurnWaits } from './turn-waits.ts';

export interface ChatSettings extends TurnLimits {
  systemPrompt: CountedText;
  /** Estimated tokens of a reply at most; undefined is the provider's own limit. */
  maxReplyTokens: number | undefined;
  allowedUsers: Set<string>;
  allowedChats: Set<string>;
  /** Messages after which a summary is asked for. */
  summaryThreshold: number;
}

/** What the chat's use cases need; made once per process by its entry. */
export interface Chat {
  db: Db;
  pool: Pool;
  statements: TurnStatements;
  model: Model;
  logger: Logger;
  metrics: TurnMetrics;
  admission: Admission;
  settings: ChatSettings;
  summaries: SummaryRequests;
  /** undefined: memories are found by their words alone. */
  vectors: VectorSearch | undefined;
  /** The turns that this process works on, by turn id. */
  running: Map<string, RunningTurn>;
  waits: TurnWaits;
  /** Aborted when the process begins to shut down: no new turn is begun after that. */
  closing: AbortController;
}
