import { setTimeout as sleep } from 'node:timers/promises';
import { checkAll } from './checks/all.ts';
import { watchCounters } from './checks/counter.ts';
import type { Evidence, Violation } from './checks/evidence.ts';
import { API_CHATS, createCaller } from './callers.ts';
import { createDesk } from './desk.ts';
import { breakThings } from './faults.ts';
import { startHistory } from './history.ts';
import type { History } from './history.ts';
import { createOperator } from './operator.ts';
import { createPerson, TELEGRAM_CHATS } from './people.ts';
import { memorySettings } from './plan.ts';
import type { Plan } from './plan.ts';
import { reportChaos } from './report.ts';
import type { ChaosReport } from './report.ts';
import { comeToRest } from './rest.ts';
import { readVectors } from './stored-vectors.ts';
import { readStored } from './stored.ts';
import { startSystem } from './system.ts';
import type { System } from './system.ts';

/** Lets people type while things break, mends everything, waits for rest, and checks what was promised. */
export async function runChaos(plan: Plan): Promise<ChaosReport> {
  const history = startHistory();
  const system = await startSystem(plan, history);
  try {
    await untilServed(system);
    const { evidence, violations } = await liveThrough(plan, system, history);
    return reportChaos(evidence, violations, history, system);
  } finally {
    await system.close();
  }
}

async function liveThrough(
  { seed, milliseconds }: Plan,
  system: System,
  history: History,
): Promise<{ evidence: Evidence; violations: Violation[] }> {
  const people = TELEGRAM_CHATS.map((chat) => createPerson(chat, seed, system.telegram, history));
  const giveUp = new AbortController();
  const callers = API_CHATS.map((chat) =>
    createCaller(chat, seed, system.apiUrls, history, giveUp.signal),
  );
  const operator = createOperator(seed, system.postgres.url, history);
  const { apiUrls, postgres } = system;
  const desk = createDesk(seed, { apiUrls, databaseUrl: postgres.url }, history);
  const settings = memorySettings(seed);

  const atRest = new AbortController();
  const broken = new AbortController();
  const counters = watchCounters(system.postgres.url, atRest.signal).then((found) => {
    if (found.length > 0) broken.abort();
    return found;
  });
  // Where it is known to be wrong already, nothing is waited for.
  const end = AbortSignal.any([AbortSignal.timeout(milliseconds), broken.signal]);
  const asking = callers.map((caller) => caller.type(end));
  await Promise.all([
    breakThings(seed, system, history, end),
    operator.work(end),
    desk.work(end),
    ...people.map((person) => person.type(end)),
  ]);

  const rest = () => comeToRest(system, callers, settings.threshold, broken.signal);
  const stuck = await rest();
  if (stuck.length === 0 && !broken.signal.aborted) {
    // One thing more of everyone: what is remembered now is what stays.
    for (const person of people) person.speak();
    await operator.deleteOne();
    asking.push(...callers.map((caller) => caller.ask()));
    stuck.push(...(await rest()));
  }
  atRest.abort();
  giveUp.abort();
  await Promise.all(asking);
  await untilServed(system);

  const evidence: Evidence = {
    stored: await readStored(system.postgres.url),
    calls: system.model.calls,
    said: [...people, ...callers].flatMap(({ said }) => said),
    closings: [...operator.closings, ...callers.flatMap(({ closings }) => closings)],
    forgettings: callers.flatMap(({ forgettings }) => forgettings),
    acts: operator.acts,
    desk,
    vectors: await readVectors(postgres.url, system.vectors.url),
    telegram: system.telegram,
    exports: await Promise.all(
      [...people, ...callers].map(({ chat }) => exportChat(apiUrls, chat)),
    ),
    settings,
  };
  const early = await counters;
  if (early.length > 0) return { evidence, violations: early };
  return { evidence, violations: [...stuck, ...checkAll(evidence)] };
}

async function exportChat([url = '']: string[], chat: string) {
  const response = await fetch(`${url}/v1/chats/${chat}/export`);
  return { chat, json: await response.text() };
}

async function untilServed({ apiUrls }: System): Promise<void> {
  const isServed = async (url: string) => (await fetch(`${url}/health`)).ok;
  for (const url of apiUrls) {
    while (!(await isServed(url).catch(() => false))) await sleep(50);
  }
}
