import { migrateToLatest } from '#src/db/migrate.ts';
import { fillChats, fillOthers, indexed, sentences, summarizeAll } from './fill.ts';
import { fillFloor, floorTables } from './floor.ts';
import type { LoadOrder } from './load-process.ts';
import { median } from './measure.ts';
import { apiKey, startEntry, startLoad, startServing, startStreams } from './processes.ts';
import type { Server } from './server.ts';

const BURST = 10;
const CHATS = 20;
/** A process that answers 10,000 streams holds twice as many sockets, more than most machines allow without being asked. */
const MOST_STREAMS = 9_000;

interface Point {
  median_ms: number;
  /** Medians of bursts one after another: what the machine does meanwhile is done to both. */
  of_floor: number;
}

/**
 * Whether a turn costs the same in a long chat, in a large table, and beside open streams. Bursts of
 * turns, one at a time, always with a burst of the floor's beside them.
 */
export async function runGrowth(server: Server, isQuick: boolean) {
  const bursts = isQuick ? 10 : 40;
  const model = await startServing('model');
  const load = startLoad();
  const driver = startLoad();
  const floor = await server.createDatabase('floor');
  await floor.client.query(floorTables);
  await floor.client.query(fillFloor, [CHATS, 24, sentences]);
  const { url, client } = await server.createDatabase('growth');
  await migrateToLatest(url);
  const api = await startEntry('api', {
    DATABASE_URL: url,
    LLM_BASE_URL: `${model.url}/hold/v1`,
    LLM_MODEL: 'bench',
    MAX_CONCURRENT_TURNS: '20000',
  });
  let from = 0;

  async function burst(prefix: string, target: LoadOrder['target'], chats: number) {
    const order = { concurrency: 1, turns: BURST, chats, prefix, from, target };
    from += BURST;
    return median((await (target.kind === 'http' ? load : driver).run(order)).times);
  }

  /** One point for each prefix, their bursts in turn. */
  async function points(prefixes: string[], chats: number): Promise<Map<string, Point>> {
    const times = new Map(prefixes.map((prefix) => [prefix, [] as number[]]));
    const ratios = new Map(prefixes.map((prefix) => [prefix, [] as number[]]));
    for (let n = -2; n < bursts; n += 1) {
      await summarizeAll(client);
      await indexed(client);
      for (const prefix of prefixes) {
        const floorTarget = { kind: 'floor', databaseUrl: floor.url, recall: false } as const;
        const atFloor = await burst('chat', floorTarget, CHATS);
        const own = await burst(prefix, { kind: 'http', url: api.url, apiKey }, chats);
        if (n < 0) continue;
        times.get(prefix)?.push(own);
        ratios.get(prefix)?.push(own / atFloor);
      }
    }
    return new Map(
      prefixes.map((prefix) => [
        prefix,
        { median_ms: median(times.get(prefix) ?? []), of_floor: median(ratios.get(prefix) ?? []) },
      ]),
    );
  }

  const onlyPoint = async () => (await points(['usual'], CHATS)).get('usual');
  const streams = startStreams();
  try {
    await fillChats(client, { chats: CHATS, messages: 24, prefix: 'usual' });
    const lengths = isQuick ? [10, 1_000, 10_000] : [10, 1_000, 100_000];
    for (const messages of lengths) {
      await fillChats(client, { chats: 1, messages, prefix: `of ${messages}` });
    }
    await indexed(client);
    await client.query('vacuum analyze');
    const byLength = await points(
      lengths.map((messages) => `of ${messages}`),
      1,
    );
    const chat = report('messages in the chat', lengths, [...byLength.values()]);

    const openStreams = isQuick ? [0, 100, 1_000] : [0, 1_000, MOST_STREAMS];
    const beside: (Point | undefined)[] = [];
    let open = 0;
    for (const count of openStreams) {
      if (count > open)
        await streams.open({ url: api.url, apiKey, count: count - open, from: open });
      open = count;
      beside.push(await onlyPoint());
    }
    await streams.stop();
    const streamed = report('open streams', openStreams, beside);

    const millions = isQuick ? [0, 0.2] : [0, 1, 5];
    const among: (Point | undefined)[] = [];
    let filled = 0;
    for (const size of millions) {
      for (; filled < size * 1_000; filled += 100) {
        await fillOthers(client, 100);
        progress(filled + 100, size * 1_000);
      }
      await client.query('vacuum analyze');
      among.push(await onlyPoint());
    }
    const table = report('million rows of others', millions, among);
    return { chat, streams: streamed, table };
  } finally {
    await streams.stop();
    await api.stop();
    await Promise.all([load.stop(), driver.stop(), model.stop()]);
  }
}

/** Prints the points, and how each compares to the first. */
function report(what: string, sizes: number[], measured: (Point | undefined)[]) {
  const [first] = measured;
  return sizes.map((size, index) => {
    const point = measured[index] ?? { median_ms: Number.NaN, of_floor: Number.NaN };
    const of_first = point.of_floor / (first?.of_floor ?? Number.NaN);
    console.log(
      `${what.padEnd(24)}${size.toLocaleString('en').padStart(8)}  median ${point.median_ms.toFixed(2)} ms, ` +
        `${point.of_floor.toFixed(2)} of the floor beside it, ${of_first.toFixed(2)} of the first`,
    );
    return { size, ...point, of_first };
  });
}

function progress(done: number, all: number): void {
  const share = Math.round((done / all) * 40);
  const bar = '#'.repeat(share).padEnd(40, '.');
  process.stderr.write(
    `\r${bar} ${(done / 1_000).toFixed(1)} million rows${done < all ? '' : '\n'}`,
  );
}
