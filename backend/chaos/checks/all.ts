import { checkAnswers } from './answers.ts';
import { checkDeliveries } from './deliveries.ts';
import { checkDesk } from './desk.ts';
import { checkClosings, checkEdits, checkStarts } from './edits.ts';
import type { Evidence, Violation } from './evidence.ts';
import { checkForgotten } from './forgotten.ts';
import { checkContextLogs, checkIsolation, checkNoHole, checkPrompts } from './prompts.ts';
import { checkSummaries } from './summaries.ts';
import { checkTurns } from './turns.ts';
import { checkVectors } from './vectors.ts';

const checks = [
  checkNoHole,
  checkIsolation,
  checkPrompts,
  checkContextLogs,
  checkSummaries,
  checkAnswers,
  checkTurns,
  checkEdits,
  checkClosings,
  checkStarts,
  checkForgotten,
  checkDeliveries,
  checkDesk,
  checkVectors,
];

/** Every promise that can be checked when all is at rest. */
export function checkAll(evidence: Evidence): Violation[] {
  return checks.flatMap((check) => check(evidence));
}
