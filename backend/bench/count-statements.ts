import { Client } from 'pg';

/** What a process has sent to its database: the turn's own statements, and all others. */
export interface StatementCounts {
  turn: number;
  other: number;
}

const turnStatements = /^(open_turns?|begin_turn|store_reply|store_replies)$/;

/** Loaded into a measured process: counts where every statement passes, whoever sends it. */
const counts: StatementCounts = { turn: 0, other: 0 };
const query: (...args: never[]) => unknown = Reflect.get(Client.prototype, 'query');
const counted = new Proxy(query, {
  apply(target, client, args: unknown[]) {
    const [statement] = args;
    const isPrepared = typeof statement === 'object' && statement !== null && 'name' in statement;
    counts[isPrepared && turnStatements.test(String(statement.name)) ? 'turn' : 'other'] += 1;
    return Reflect.apply(target, client, args);
  },
});
Reflect.set(Client.prototype, 'query', counted);

process.on('message', () => process.send?.(counts));
process.channel?.unref();
