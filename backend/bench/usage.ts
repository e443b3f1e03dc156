import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts a process's time in hundredths of a second, whatever the machine. */
const TICKS_PER_SECOND = 100;

interface Stat {
  name: string;
  parent: number;
  /** Of the process itself, and of its children that ended and were waited for. */
  ownSeconds: number;
  endedChildrenSeconds: number;
}

/** CPU seconds of one process with its threads. */
export function processSeconds(pid: number): number {
  return readStat(pid)?.ownSeconds ?? 0;
}

/**
 * CPU seconds of a PostgreSQL: its postmaster, every child that lives (backends, WAL writer,
 * checkpointer, autovacuum) and every child that has ended. undefined where it runs on another
 * machine, or where this is no Linux.
 */
export function postgresSeconds(backendPid: number): number | undefined {
  const backend = readStat(backendPid);
  const postmaster = backend?.name === 'postgres' ? readStat(backend.parent) : undefined;
  if (backend === undefined || postmaster === undefined) return undefined;
  const children = readdirSync('/proc')
    .map((name) => (/^\d+$/.test(name) ? readStat(Number(name)) : undefined))
    .filter((stat) => stat?.parent === backend.parent);
  return children.reduce(
    (sum, child) => sum + (child?.ownSeconds ?? 0),
    postmaster.ownSeconds + postmaster.endedChildrenSeconds,
  );
}

/** Resident memory in megabytes. */
export function residentMegabytes(pid: number): number {
  const status = readProc(pid, 'status') ?? '';
  return Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1] ?? 0) / 1_024;
}

/** File descriptors, sockets among them. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function readStat(pid: number): Stat | undefined {
  const text = readProc(pid, 'stat');
  const [, name = '', rest = ''] = /^\d+ \((.*)\) (.*)$/s.exec(text ?? '') ?? [];
  if (text === undefined) return undefined;
  const fields = rest.split(' ').map(Number);
  const seconds = (from: number) =>
    ((fields[from] ?? 0) + (fields[from + 1] ?? 0)) / TICKS_PER_SECOND;
  return {
    name,
    parent: fields[1] ?? 0,
    ownSeconds: seconds(11),
    endedChildrenSeconds: seconds(13),
  };
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}
