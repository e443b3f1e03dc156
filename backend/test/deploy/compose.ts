import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

export const root = path.join(import.meta.dirname, '../../..');

/** What a value may be: everything is a string in the end; null hands the variable on from `.env`. */
const Environment = z.record(z.string(), z.union([z.string(), z.number(), z.null()]));
const strings = z.array(z.string());
const seconds = z.string().regex(/^\d+s$/);

/** The Compose specification's shape, as far as the files use it; what else stands there is a typing error. */
const Service = z.strictObject({
  image: z.string().optional(),
  build: z.strictObject({ context: z.literal('.'), dockerfile: z.string() }).optional(),
  user: z.string().optional(),
  command: z.union([z.string(), strings]).optional(),
  environment: Environment.default({}),
  ports: strings.default([]),
  volumes: strings.default([]),
  networks: strings.default(['default']),
  depends_on: z
    .record(
      z.string(),
      z.strictObject({ condition: z.enum(['service_healthy', 'service_started']) }),
    )
    .default({}),
  healthcheck: z
    .strictObject({
      test: strings,
      interval: seconds,
      timeout: seconds,
      start_period: seconds,
      start_interval: seconds,
    })
    .optional(),
  restart: z.enum(['no', 'always', 'on-failure', 'unless-stopped']).optional(),
  init: z.boolean().optional(),
  read_only: z.boolean().optional(),
  tmpfs: strings.default([]),
  cap_drop: strings.default([]),
  security_opt: strings.default([]),
  pids_limit: z.int().optional(),
  mem_limit: z.string().optional(),
  shm_size: z.string().optional(),
  stop_grace_period: seconds.optional(),
  extra_hosts: strings.default([]),
  logging: z
    .strictObject({ driver: z.string(), options: z.record(z.string(), z.string()) })
    .optional(),
});

const Compose = z.strictObject({
  name: z.string(),
  services: z.record(z.string(), Service),
  networks: z.record(z.string(), z.strictObject({ internal: z.boolean() })),
  volumes: z.record(z.string(), z.null()),
});

export type Service = z.infer<typeof Service>;
export type Compose = z.infer<typeof Compose>;

/** A compose file of the top folder with all that it includes. */
export function readCompose(file: string): Compose {
  const entries = Object.entries(load(file)).filter(([key]) => !key.startsWith('x-'));
  return Compose.parse(Object.fromEntries(entries));
}

export function serviceOf({ services }: Compose, name: string): Service {
  const found = services[name];
  if (found === undefined) throw new Error(`the compose file has no service ${name}`);
  return found;
}

function load(file: string): Record<string, unknown> {
  const { include = [], ...own } = parse(readFileSync(path.join(root, file), 'utf8'), {
    merge: true,
  });
  const included: string[] = include.flatMap((entry: { path: string | string[] }) => entry.path);
  return [...included.map(load), own].reduce(merge, {});
}

/** As Compose does it: mappings are united, lists follow each other, the later of two values counts. */
function merge(one: Record<string, unknown>, other: Record<string, unknown>) {
  const united = { ...one };
  for (const [key, value] of Object.entries(other)) {
    const before = united[key];
    if (isMapping(before) && isMapping(value)) united[key] = merge(before, value);
    else if (Array.isArray(before) && Array.isArray(value)) united[key] = [...before, ...value];
    else united[key] = value;
  }
  return united;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const variable = /\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})/g;

/** The variables that are put into a compose file's values; `isRequired` where the start is refused without one. */
export function variablesIn(compose: Compose): { name: string; isRequired: boolean }[] {
  return [...JSON.stringify(compose).matchAll(variable)]
    .filter(([, dollar]) => dollar === undefined)
    .map(([, , name = '', operator]) => ({ name, isRequired: operator === '?' }));
}

/** An `.env` in which everything is set. */
export function everythingSet(compose: Compose): Record<string, string> {
  const names = variablesIn(compose).map(({ name }) => [name, name]);
  return { ...Object.fromEntries(names), BOT_TOKEN: '1:token' };
}

/** A value as Compose makes it with the variables of `.env`. Throws where a required one is missing. */
export function interpolate(value: string, env: Record<string, string | undefined>): string {
  return value.replaceAll(variable, (_, dollar, name, operator, rest) => {
    if (dollar !== undefined) return '$';
    if (env[name] !== undefined && env[name] !== '') return env[name];
    if (operator === '?') throw new Error(`required variable ${name} is missing: ${rest}`);
    return operator === '-' ? rest : '';
  });
}

/** What a service's process finds in its environment. */
export function environmentOf(
  service: Service,
  env: Record<string, string | undefined>,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, given] of Object.entries(service.environment)) {
    const value = given === null ? env[name] : interpolate(`${given}`, env);
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** The words of a service's command, which hold no blanks of their own. */
export function commandOf(service: Service, env: Record<string, string | undefined>): string[] {
  const { command = [] } = service;
  if (typeof command === 'string') return interpolate(command, env).trim().split(/\s+/);
  return command.map((word) => interpolate(word, env));
}
