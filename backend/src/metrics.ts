import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** A process's metrics, for Prometheus to read. Labels are words of ours: never an id, never text. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

export type { Registry };

const modelSeconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80];

/** What the process that serves chats counts. Counters move on the hot path; gauges are set when they are read. */
export function createTurnMetrics(registry: Registry) {
  const registers = [registry];
  return {
    turns: new Counter({
      name: 'llmbot_turns_total',
      help: 'Turns that ended here, by outcome: answered, silenced, failed, cancelled.',
      labelNames: ['outcome'],
      registers,
    }),
    replays: new Counter({
      name: 'llmbot_turn_replays_total',
      help: 'Calls that got a reply without a model call of their own.',
      registers,
    }),
    problems: new Counter({
      name: 'llmbot_turn_problems_total',
      help: 'Calls that got no reply, by error code: budget_exhausted, rate_limited, overloaded, model_failed and so on.',
      labelNames: ['code'],
      registers,
    }),
    turnSeconds: new Histogram({
      name: 'llmbot_turn_duration_seconds',
      help: 'From the call to its reply, waiting included.',
      buckets: modelSeconds,
      registers,
    }),
    waitSeconds: new Histogram({
      name: 'llmbot_turn_wait_seconds',
      help: 'Turns behind an earlier one of their chat: how long they waited for their place.',
      buckets: modelSeconds,
      registers,
    }),
    modelSeconds: new Histogram({
      name: 'llmbot_model_duration_seconds',
      help: 'Answers of the model, with retries and fallbacks.',
      buckets: modelSeconds,
      registers,
    }),
    modelTokens: new Counter({
      name: 'llmbot_model_tokens_total',
      help: 'Tokens of answered turns, by kind (prompt, completion); estimated where the provider counts none.',
      labelNames: ['kind'],
      registers,
    }),
    windowMessages: new Histogram({
      name: 'llmbot_window_messages',
      help: 'Messages that an answered prompt held verbatim.',
      buckets: [2, 8, 16, 32, 64, 128, 256],
      registers,
    }),
    leftOutMessages: new Counter({
      name: 'llmbot_left_out_messages_total',
      help: 'Messages that neither the summary nor the window of an answered prompt held.',
      registers,
    }),
    runningTurns: new Gauge({
      name: 'llmbot_running_turns',
      help: 'Turns of this process now, by state: answering, waiting.',
      labelNames: ['state'],
      registers,
    }),
    databaseConnections: new Gauge({
      name: 'llmbot_database_connections',
      help: 'Connections of this process, by state: busy, idle.',
      labelNames: ['state'],
      registers,
    }),
    databaseWaiting: new Gauge({
      name: 'llmbot_database_waiting_statements',
      help: 'Statements of this process that wait for a connection, and turns for their statement.',
      registers,
    }),
    summariesWaiting: new Gauge({
      name: 'llmbot_summaries_waiting',
      help: 'Conversations past SUMMARY_THRESHOLD, in the whole database.',
      registers,
    }),
    summariesOldestSeconds: new Gauge({
      name: 'llmbot_summaries_oldest_waiting_seconds',
      help: 'Since when the longest waiting of them is past it.',
      registers,
    }),
    summariesFailed: new Gauge({
      name: 'llmbot_summaries_failed',
      help: 'Conversations whose last summary failed, in the whole database.',
      registers,
    }),
    indexPending: new Gauge({
      name: 'llmbot_index_pending_rows',
      help: 'Memories that recall does not find yet, in the whole database; counted up to 100,000.',
      registers,
    }),
    indexOldestSeconds: new Gauge({
      name: 'llmbot_index_oldest_pending_seconds',
      help: 'Age of the oldest of them.',
      registers,
    }),
  };
}

export type TurnMetrics = ReturnType<typeof createTurnMetrics>;

/** What the process that works on the queue counts. */
export function createJobMetrics(registry: Registry) {
  const registers = [registry];
  return {
    jobs: new Counter({
      name: 'llmbot_jobs_total',
      help: 'Tries of jobs, by job (summarize, sweep, words, vectors, reconcile) and outcome (completed, failed).',
      labelNames: ['job', 'outcome'],
      registers,
    }),
    jobSeconds: new Histogram({
      name: 'llmbot_job_duration_seconds',
      help: 'Tries of jobs, by job.',
      labelNames: ['job'],
      buckets: modelSeconds,
      registers,
    }),
  };
}

export type JobMetrics = ReturnType<typeof createJobMetrics>;
