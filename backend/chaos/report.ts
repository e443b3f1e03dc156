import type { Evidence, Violation } from './checks/evidence.ts';
import type { History } from './history.ts';
import { tellShortest } from './story.ts';
import type { System } from './system.ts';

export interface ChaosReport {
  evidence: Evidence;
  violations: Violation[];
  /** The shortest log that shows one of them. */
  story: string;
  /** How much happened, in one line. */
  counts: string;
  /** What each process printed, by its name; and all that is known beside. */
  logs: Record<string, string>;
}

export function reportChaos(
  evidence: Evidence,
  violations: Violation[],
  history: History,
  { units }: System,
): ChaosReport {
  return {
    evidence,
    violations,
    story: tellShortest(violations, history, evidence.stored),
    counts: countAll(evidence, history),
    logs: {
      ...Object.fromEntries(units.map((unit) => [unit.name, unit.output()])),
      history: history.events
        .map(({ at, chat = '', text }) => `${new Date(at).toISOString()} ${chat} ${text}`)
        .join('\n'),
      stored: JSON.stringify(evidence.stored, undefined, 1),
      violations: violations
        .map(({ rule, chat, text }) => `${rule} (chat ${chat}): ${text}`)
        .join('\n'),
    },
  };
}

function countAll({ stored, calls, said, acts, vectors }: Evidence, history: History): string {
  const counts = {
    faults: history.events.filter(({ text }) => text.startsWith('fault: ')).length,
    'messages said': said.length,
    'model calls': calls.length,
    turns: stored.turns.length,
    'without an answer': stored.turns.filter(({ state }) => state !== 'answered').length,
    sessions: stored.sessions.length,
    summaries: stored.summaries.length,
    vectors: vectors.points.length,
    "operator's acts": acts.length,
    'uncertain deliveries': stored.messages.filter(
      ({ delivery_state: state }) => state === 'uncertain',
    ).length,
  };
  return Object.entries(counts)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ');
}
