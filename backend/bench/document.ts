import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const root = join(import.meta.dirname, '../..');

/** The documents that quote the committed run; each quotation stands between its two marks. */
export const documents = [
  'README.md',
  'README.ru.md',
  'docs/performance.md',
  'docs/scaling.md',
].map((file) => join(root, file));

const About = z.object({
  measured_at: z.string(),
  machine: z.string(),
  /** Of other work, when the run began. */
  load_average: z.number(),
  node: z.string(),
  database: z.string(),
});
const Compared = z.record(z.string(), z.number());
const Run = z.object({
  turns_per_second: z.number(),
  median_ms: z.number(),
  p99_ms: z.number(),
  server_cpu_seconds: z.number(),
  database_cpu_seconds: z.number(),
  wal_bytes: z.number(),
  resident_mb: z.number(),
});
const Points = z.array(
  z.object({
    size: z.number(),
    median_ms: z.number(),
    of_floor: z.number(),
    of_first: z.number(),
    cpu_of_first: z.number(),
  }),
);
const Series = z.object({ recall_off: Points, recall_on: Points });
const Search = z.object({ median_ms: z.number(), p95_ms: z.number() });
const Searches = z.object({ small: Search, large: Search });
const Measured = z.object({
  turn: About.extend({
    recall_on: Compared,
    recall_off: Compared,
    statements: Compared,
    figures: z.record(z.string(), z.record(z.string(), Run)),
  }),
  growth: About.extend({ chat: Series, streams: Points, table: Series }),
  recall: About.extend({
    messages: z.number(),
    alone: Searches,
    among_all: Searches,
    large_of_small: z.number(),
  }),
  summaries: About.extend({
    versions_per_second: z.number(),
    threshold_to_version_median_ms: z.number(),
  }),
});
type Measured = z.infer<typeof Measured>;

/** `text` with every quotation as the committed run has it. */
export function quote(text: string): string {
  const measured = Measured.parse(
    JSON.parse(readFileSync(join(root, 'docs/performance.json'), 'utf8')),
  );
  return Object.entries(quotations).reduce(
    (result, [name, write]) =>
      result.replace(
        new RegExp(`(<!-- measured: ${name} -->)[^]*?(<!-- end -->)`),
        (_, begin: string, end: string) => `${begin}\n${write(measured)}\n${end}`,
      ),
    text,
  );
}

const quotations: Record<string, (measured: Measured) => string> = {
  headline({ turn }) {
    const { recall_off: off, recall_on: on, machine, load_average } = turn;
    return (
      `A turn is two round trips to PostgreSQL. On ${machine} (load average ${fixed(load_average, 1)} ` +
      `from other work), with a model that answers at once, it takes ${times(off.cpu_of_floor)} the CPU ` +
      `of two bare SQL statements (${times(on.cpu_of_floor)} with recall and its indexing) and reaches ` +
      `${percent(off.turns_per_second_of_floor_at_16)} of their rate ` +
      `(${percent(on.turns_per_second_of_floor_at_16)}).`
    );
  },

  'one machine'({ turn, summaries }) {
    const at64 = turn.figures['recall_off']?.['64'];
    const withRecall = turn.figures['recall_on']?.['64'];
    return (
      `On ${turn.machine}, which ran the API, PostgreSQL, the model and the callers at once, one ` +
      `process did ${fixed(at64?.turns_per_second ?? Number.NaN, 0)} turns a second ` +
      `(${fixed(withRecall?.turns_per_second ?? Number.NaN, 0)} with recall and its indexing), in ` +
      `${fixed(at64?.resident_mb ?? Number.NaN, 0)} MB, and a worker ` +
      `${fixed(summaries.versions_per_second, 0)} summaries a second.`
    );
  },

  'headline in Russian'({ turn }) {
    const { recall_off: off, recall_on: on, machine, load_average } = turn;
    return (
      `Ход — это два обращения к PostgreSQL. На ${machine} (средняя загрузка другой работой ` +
      `${fixed(load_average, 1)}), с моделью, которая отвечает сразу, он берёт процессорного времени в ` +
      `${fixed(off.cpu_of_floor, 1)} раза больше двух голых запросов SQL (с воспоминаниями и их ` +
      `индексом — в ${fixed(on.cpu_of_floor, 1)}) и достигает ` +
      `${percent(off.turns_per_second_of_floor_at_16)} их скорости ` +
      `(${percent(on.turns_per_second_of_floor_at_16)}).`
    );
  },

  conditions: ({ turn }) => `Measured on ${turn.measured_at.slice(0, 10)}: ${conditions(turn)}.`,

  aims({ turn }) {
    const rows: [string, string, string, (ratio: number | undefined) => string][] = [
      ['turns per second at 16', 'turns_per_second_of_floor_at_16', 'at least 30 %', percent],
      ['99th percentile at 16', 'p99_of_floor_at_16', 'at most 4 times', times],
      ['median at 1', 'median_of_floor_at_1', 'at most 3 times', times],
      ['CPU of server and database', 'cpu_of_floor', 'at most 3.2 times', times],
      ['WAL', 'wal_of_floor', 'at most 2.5 times', times],
    ];
    return table(
      [
        'of the floor',
        'aim',
        'recall off',
        'of it our two statements by bare `pg`',
        'recall on, with its indexing',
      ],
      [
        ...rows.map(([what, key, aim, form]) => [
          what,
          aim,
          form(turn.recall_off[key]),
          form(turn.statements[key]),
          form(turn.recall_on[key]),
        ]),
        [
          'round trips a turn',
          '2',
          fixed(turn.recall_off.round_trips_per_turn, 2),
          '',
          fixed(turn.recall_on.round_trips_per_turn, 2),
        ],
      ],
    );
  },

  turns({ turn }) {
    const names: Record<string, string> = {
      floor: 'the floor',
      constant: 'Hono, a constant answer',
      statements: 'our two statements by bare `pg`',
      recall_off: 'a turn, recall off',
      recall_on: 'a turn, recall on',
      slow_model: 'a turn, model of 300 ms',
    };
    return table(
      [
        'what',
        'at once',
        'turns/s',
        'median, ms',
        'p99, ms',
        'CPU s, server',
        'database',
        'WAL, bytes',
        'RSS, MB',
      ],
      Object.entries(turn.figures).flatMap(([name, byConcurrency]) =>
        Object.entries(byConcurrency).map(([atOnce, run]) => [
          names[name] ?? name,
          atOnce,
          fixed(run.turns_per_second, 0),
          fixed(run.median_ms, 2),
          fixed(run.p99_ms, 2),
          fixed(run.server_cpu_seconds, 2),
          fixed(run.database_cpu_seconds, 2),
          fixed(run.wal_bytes, 0),
          fixed(run.resident_mb, 0),
        ]),
      ),
    );
  },

  growth: ({ growth }) =>
    table(
      ['what', 'how many', 'median, ms', 'of the floor beside it', 'of the first', 'database CPU'],
      [
        ...pointRows('messages in the chat, recall off', growth.chat.recall_off),
        ...pointRows('messages in the chat, recall on', growth.chat.recall_on),
        ...pointRows('open streams', growth.streams),
        ...pointRows('million rows of other chats, recall off', growth.table.recall_off),
        ...pointRows('million rows of other chats, recall on', growth.table.recall_on),
      ],
    ),

  recall: ({ recall: { messages, alone, among_all: all, large_of_small } }) =>
    [
      table(
        [
          'a search in a chat of',
          'alone, ms',
          '95th percentile',
          'among all, ms',
          '95th percentile',
        ],
        [
          ['1,000 messages', ...searchCells(alone.small), ...searchCells(all.small)],
          ['100,000 messages', ...searchCells(alone.large), ...searchCells(all.large)],
        ],
      ),
      '',
      `All are ${messages.toLocaleString('en')} messages. Among them the search of the large chat takes ` +
        `${fixed(large_of_small, 2)} times that of the small one.`,
    ].join('\n'),

  summaries: ({ summaries }) =>
    `One worker writes ${fixed(summaries.versions_per_second, 0)} versions a second with a model that ` +
    `answers at once; from the turn that reaches the threshold to the version it takes ` +
    `${fixed(summaries.threshold_to_version_median_ms, 0)} ms (median).`,
};

function conditions({ machine, load_average, node, database }: z.infer<typeof About>): string {
  return (
    `${machine} with a load average of ${fixed(load_average, 1)} from other work, ${database}, ` +
    `Node ${node.slice(1)}, everything on the same cores`
  );
}

function pointRows(what: string, points: z.infer<typeof Points>): string[][] {
  return points.map(({ size, median_ms, of_floor, of_first, cpu_of_first }) => [
    what,
    size.toLocaleString('en'),
    fixed(median_ms, 2),
    fixed(of_floor, 2),
    fixed(of_first, 2),
    fixed(cpu_of_first, 2),
  ]);
}

const searchCells = ({ median_ms, p95_ms }: z.infer<typeof Search>) => [
  fixed(median_ms, 2),
  fixed(p95_ms, 2),
];

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const fixed = (value: number | undefined, digits: number) => (value ?? Number.NaN).toFixed(digits);
const times = (ratio: number | undefined) => `${fixed(ratio, 1)} times`;
const percent = (share: number | undefined) => `${fixed((share ?? Number.NaN) * 100, 0)} %`;
