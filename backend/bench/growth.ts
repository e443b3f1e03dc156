import { migrateToLatest } from '#src/db/migrate.ts';
import { fillChats, fillOthers, sentences, summarizeAll } from './fill.ts';
import { fillFloor, floorTables } from './floor.ts';
import { startIndexer } from './indexer.ts';
import type { LoadOrder } from './load-process.ts';
import { median } from './measure.ts';
import { apiKey, startEntry, startLoad, startServing, startStreams } from './processes.ts';
import type { Server } from './server.ts';
import { postgresSeconds } from './usage.ts';

const BURST = 10;
const CHATS = 20;
/** A process that answers 10,000 streams holds twice as many sockets, more than most machines allow without being asked. */
const MOST_STREAMS = 9_000;

interface Point {
  median_ms: number;
  /** Medians of bursts one after another: what the machine does meanwhile is done to both. */
  of_floor: number;
  /** For 1,000 turns, of the database. */
  cpu_seconds: number;
}

/** Turns in chats of this prefix, with recall or without. */
interface Series {
  prefix: string;
  recall: boolean;
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
  const settings = {
    DATABASE_URL: url,
    LLM_BASE_URL: `${model.url}/hold/v1`,
    LLM_MODEL: 'bench',
    MAX_CONCURRENT_TURNS: '20000',
  };
  const on = await startEntry('api', settings);
  const off = await startEntry('api', { ...settings, RAG_ENABLED: 'false' });
  const indexer = await startIndexer(settings, client);
  let from = 0;

  async function burst(prefix: string, target: LoadOrder['target'], chats: number) {
    const order = { concurrency: 1, turns: BURST, chats, prefix, from, target };
    from += BURST;
    const cpu = postgresSeconds(server.backendPid) ?? Number.NaN;
    const { times } = await (target.kind === 'http' ? load : driver).run(order);
    return {
      ms: median(times),
      cpu: (postgresSeconds(server.backendPid) ?? Number.NaN) - cpu,
    };
  }

  /** One point for each series, their bursts in turn. */
  async function points(series: Series[], chats: number): Promise<Point[]> {
    const measured = series.map((one) => ({ ...one, ms: [0], ratios: [0], cpu: 0 }));
    for (let n = -2; n < bursts; n += 1) {
      await summarizeAll(client);
      await indexer.settle();
      // What comes first after a pause is slower: the first is made twice, and each is the first in turn.
      const first = (n + measured.length) % measured.length;
      const inTurn = [...measured.slice(first), ...measured.slice(0, first)];
      for (const [place, one] of [...inTurn.slice(0, 1), ...inTurn].entries()) {
        const floorTarget = { kind: 'floor', databaseUrl: floor.url, recall: false } as const;
        const atFloor = await burst('chat', floorTarget, CHATS);
        const api = one.recall ? on : off;
        const own = await burst(one.prefix, { kind: 'http', url: api.url, apiKey }, chats);
        if (n < 0 || place === 0) continue;
        one.ms[n] = own.ms;
        one.ratios[n] = own.ms / atFloor.ms;
        one.cpu += own.cpu;
      }
    }
    return measured.map(({ ms, ratios, cpu }) => ({
      median_ms: median(ms),
      of_floor: median(ratios),
      cpu_seconds: (cpu / (bursts * BURST)) * 1_000,
    }));
  }

  const usual = (recall: boolean) => ({ prefix: 'usual', recall });
  const streams = startStreams();
  try {
    await fillChats(client, { chats: CHATS, messages: 24, prefix: 'usual' });
    const lengths = isQuick ? [10, 1_000, 10_000] : [10, 1_000, 100_000];
    for (const messages of lengths) {
      await fillChats(client, { chats: 1, messages, prefix: `of ${messages}` });
    }
    await indexer.settle();
    await client.query('vacuum analyze');
    const longChat = async (recall: boolean) =>
      await points(
        lengths.map((messages) => ({ prefix: `of ${messages}`, recall })),
        1,
      );
    const chat = {
      recall_off: report('messages, recall off', lengths, await longChat(false)),
      recall_on: report('messages, recall on', lengths, await longChat(true)),
    };

    const openStreams = isQuick ? [0, 100, 1_000] : [0, 1_000, MOST_STREAMS];
    const beside: Point[] = [];
    let open = 0;
    for (const count of openStreams) {
      if (count > open)
        await streams.open({ url: off.url, apiKey, count: count - open, from: open });
      open = count;
      beside.push(...(await points([usual(false)], CHATS)));
    }
    await streams.stop();
    const streamed = report('open streams', openStreams, beside);

    const millions = isQuick ? [0, 0.2] : [0, 1, 5];
    const among: { off: Point[]; on: Point[] } = { off: [], on: [] };
    let filled = 0;
    for (const size of millions) {
      for (; filled < size * 1_000; filled += 100) {
        await fillOthers(client, 100);
        progress(filled + 100, size * 1_000);
      }
      await client.query('vacuum analyze');
      const [withoutRecall, withRecall] = await points([usual(false), usual(true)], CHATS);
      if (withoutRecall !== undefined) among.off.push(withoutRecall);
      if (withRecall !== undefined) among.on.push(withRecall);
    }
    const table = {
      recall_off: report('million rows, recall off', millions, among.off),
      recall_on: report('million rows, recall on', millions, among.on),
    };
    return { chat, streams: streamed, table };
  } finally {
    await streams.stop();
    await Promise.all([on.stop(), off.stop(), indexer.stop()]);
    await Promise.all([load.stop(), driver.stop(), model.stop()]);
  }
}

/** Prints the points, and how each compares to the first. */
function report(what: string, sizes: number[], measured: Point[]) {
  return measured.map((point, index) => {
    const [first = point] = measured;
    const size = sizes[index] ?? Number.NaN;
    const of_first = point.of_floor / first.of_floor;
    const cpu_of_first = point.cpu_seconds / first.cpu_seconds;
    console.log(
      `${what.padEnd(26)}${size.toLocaleString('en').padStart(8)}  median ${point.median_ms.toFixed(2)} ms, ` +
        `${point.of_floor.toFixed(2)} of the floor beside it; of the first: ` +
        `${of_first.toFixed(2)}, its database CPU ${cpu_of_first.toFixed(2)}`,
    );
    return { size, ...point, of_first, cpu_of_first };
  });
}

function progress(done: number, all: number): void {
  const share = Math.round((done / all) * 40);
  const bar = '#'.repeat(share).padEnd(40, '.');
  process.stderr.write(
    `\r${bar} ${(done / 1_000).toFixed(1)} million rows${done < all ? '' : '\n'}`,
  );
}
