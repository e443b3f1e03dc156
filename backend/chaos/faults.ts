import { setTimeout as sleep } from 'node:timers/promises';
import type { Trouble } from '../../telegram-bot/test/fake-telegram.ts';
import type { Payload } from '../../telegram-bot/test/fake-telegram-payload.ts';
import { connected } from './connected.ts';
import type { History } from './history.ts';
import { marksIn } from './marks.ts';
import { randomOf } from './random.ts';
import type { Random } from './random.ts';
import type { System } from './system.ts';

interface Fault {
  weight: number;
  /** Says what it does, and does it; resolves when it is over. */
  begin(): { what: string; over: Promise<unknown> };
}

/** At most so many at once: a system of which everything is down shows little. */
const AT_ONCE = 3;

/** Breaks things until the end. Resolves when everything is whole again. */
export async function breakThings(
  seed: number,
  system: System,
  history: History,
  end: AbortSignal,
): Promise<void> {
  const random = randomOf(seed, 'faults');
  const faults = [
    ...unitFaults(random, system),
    ...networkFaults(random, system),
    ...storeFaults(random, system),
  ];
  const running = new Set<Promise<unknown>>();
  let isRough = true;
  system.vectors.losesAnswer = () => isRough && random.chance(0.02);
  system.telegram.trouble = (method, payload) => {
    const trouble = isRough ? telegramTrouble(method, random) : undefined;
    noteCall(history, method, payload, trouble);
    return trouble;
  };
  while (!end.aborted) {
    await sleep(random.between(200, 2_500), undefined, { signal: end }).catch(() => {});
    if (running.size >= AT_ONCE || end.aborted) continue;
    system.model.weather = random.pick([0.02, 0.05, 0.1, 0.5]);
    const { what, over } = random.weighted(faults).begin();
    history.note(`fault: ${what}`);
    const ended = over
      .catch((error: unknown) => history.note(`fault: ${what}: ${String(error)}`))
      .finally(() => running.delete(ended));
    running.add(ended);
  }
  for (const gate of system.gates.values()) gate.set('up');
  for (const unit of system.units) unit.mend();
  system.model.weather = 0;
  isRough = false;
  await Promise.all(running);
  for (const gate of system.gates.values()) gate.set('up');
  history.note('everything is mended');
}

function unitFaults(random: Random, { units }: System): Fault[] {
  return [
    {
      weight: 10,
      begin() {
        const unit = random.pick(units);
        const downMs = random.between(0, 2_000);
        return { what: `${unit.name} is killed`, over: unit.kill(downMs) };
      },
    },
    {
      weight: 4,
      begin() {
        const unit = random.pick(units);
        // Now and then longer than the lease of a turn (15 s) or the lock of a job (10 s).
        const ms = random.chance(0.3) ? random.between(16_000, 24_000) : random.between(300, 5_000);
        return { what: `${unit.name} is paused for ${Math.round(ms)} ms`, over: unit.pause(ms) };
      },
    },
  ];
}

function networkFaults(random: Random, { gates }: System): Fault[] {
  const names = [...gates.keys()];
  return [
    {
      weight: 8,
      begin() {
        const name = random.pick(names);
        const gate = gates.get(name);
        // Setting it up again cuts what is connected.
        gate?.set('up');
        return { what: `connections to ${name} are dropped`, over: Promise.resolve() };
      },
    },
    {
      weight: 5,
      begin() {
        const name = random.pick(names);
        const state = random.pick(['down', 'hang'] as const);
        const ms = random.between(200, 6_000);
        gates.get(name)?.set(state);
        const over = sleep(ms).then(() => gates.get(name)?.set('up'));
        return { what: `${name} is ${state} for ${Math.round(ms)} ms`, over };
      },
    },
  ];
}

function storeFaults(random: Random, { postgres, redis, embeddings }: System): Fault[] {
  let restarting: Promise<void> = Promise.resolve();
  return [
    {
      weight: 1.5,
      begin() {
        const failure = random.pick(['error', 'overload', 'cut', 'hang', 'garbage'] as const);
        const ms = random.between(300, 6_000);
        embeddings.failure = failure;
        const over = sleep(ms).then(() => (embeddings.failure = undefined));
        return { what: `embeddings fail (${failure}) for ${Math.round(ms)} ms`, over };
      },
    },
    { weight: 2, begin: () => ({ what: 'Redis forgets everything', over: redis.forgetAll() }) },
    {
      weight: 1.5,
      begin() {
        const mode = random.chance(0.6) ? 'immediate' : 'fast';
        restarting = restarting.then(() => postgres.restart(mode));
        return { what: `PostgreSQL is restarted (${mode})`, over: restarting };
      },
    },
    {
      weight: 1,
      begin: () => ({
        what: 'PostgreSQL closes every connection',
        over: endConnections(postgres.url),
      }),
    },
  ];
}

async function endConnections(databaseUrl: string): Promise<void> {
  await connected(databaseUrl, (client) =>
    client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where backend_type = 'client backend' and pid <> pg_backend_pid()`,
    ),
  );
}

/** Answers and notices; a preview is not told of. */
function noteCall(
  history: History,
  method: string,
  { chat_id: chat, text = '', reply_markup: markup }: Payload,
  { drop, status }: Trouble = {},
): void {
  const [button] = markup?.inline_keyboard.flat() ?? [];
  const what = [...marksIn(text), button?.callback_data ?? ''].join(' ').trim();
  if (what === '' || text.endsWith(' ▍')) return;
  const outcome = drop === undefined ? (status ?? 'done') : `dropped ${drop} it was done`;
  history.note(`Telegram is asked for ${method} of ${what}: ${outcome}`, String(chat));
}

/** Slow sends, and now and then an outcome that is not told. */
function telegramTrouble(method: string, random: Random): Trouble | undefined {
  if (!/^(send|edit|delete)/.test(method)) return undefined;
  const delayMs = random.between(10, 400);
  if (random.chance(0.9)) return { delayMs };
  return random.pick<Trouble>([
    { delayMs, drop: 'after' },
    { delayMs, drop: 'before' },
    { delayMs, status: 500, carriedOut: true },
    { delayMs, status: 502 },
    { status: 429, retryAfter: 1 },
  ]);
}
