import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { describe, expect, test } from 'vitest';
import { commandOf, everythingSet, interpolate, readCompose, root, serviceOf } from './compose.ts';
import type { Service } from './compose.ts';
import { readDockerfile } from './image.ts';

const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const manifest = JSON.parse(read('package.json'));
const { nodeVersion } = parse(read('pnpm-workspace.yaml'));
/** Without them a reply comes all the same, by the words of its question alone. */
const recallBySense = new Set(['qdrant', 'bge_embeddings']);
const dockerfileOf = ({ build }: Service) => (build ? readDockerfile(build.dockerfile) : []);
const instructionOf = (of: Service, name: string) =>
  dockerfileOf(of).findLast(({ instruction }) => instruction === name)?.rest;

describe.each(['docker-compose.yml', 'docker-compose.rag.yml'])('%s', (file) => {
  const compose = readCompose(file);
  const all = Object.entries(compose.services);

  const present = everythingSet(compose);
  const service = (name: string) => serviceOf(compose, name);

  describe('every service', () => {
    test.each(all)('%s is hardened, bounded and comes back', (_, one) => {
      expect(one).toMatchObject({
        restart: 'unless-stopped',
        init: true,
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '5' } },
      });
      expect(one.mem_limit).toMatch(/^\d+[mg]$/);
      expect(one.pids_limit).toBeGreaterThan(0);
      expect(one.user ?? instructionOf(one, 'USER')).toMatch(/^(?!root|0)\w+$/);
    });

    test.each(all)('%s is pinned', (_, one) => {
      const bases = dockerfileOf(one).filter(({ instruction }) => instruction === 'FROM');
      const names = [one.image, ...bases.map(({ rest }) => rest.split(' ')[0])];
      const given = names.filter((name) => name !== undefined);
      expect(given).not.toEqual([]);
      for (const name of given) expect(name).toMatch(/:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$/);
    });

    test.each(all)('%s runs a file that exists', (_, one) => {
      if (one.build === undefined) return expect(one.image).toBeDefined();
      const given = commandOf(one, present);
      const command = given.length > 0 ? given : JSON.parse(instructionOf(one, 'CMD') ?? '[]');
      expect(command[0]).toBe('node');
      expect(command.at(-1)).toMatch(/^[\w-]+\/src\/[\w-]+\.ts$/);
      expect(existsSync(path.join(root, command.at(-1))), command.at(-1)).toBe(true);
    });

    test.each(all)('%s keeps what its program writes, and nothing else', (name, one) => {
      const places = one.volumes.map((volume) => volume.split(':'));
      for (const [volume = '', target = ''] of places) {
        expect(compose.volumes).toHaveProperty([volume]);
        const told = [...Object.values(one.environment), ...commandOf(one, present)];
        const written = told.filter((value) => `${value}/`.startsWith(`${target}/`));
        expect(written, `${name} is told to write below ${target}`).not.toEqual([]);
      }
    });

    test.each(all)('%s waits for the health of what it needs', (_, one) => {
      for (const [other, { condition }] of Object.entries(one.depends_on)) {
        expect(condition).toBe('service_healthy');
        expect(service(other).healthcheck).toBeDefined();
        const common = service(other).networks.filter((network) => one.networks.includes(network));
        expect(common).not.toEqual([]);
      }
      const values = Object.values(one.environment).join(' ');
      const called = [...values.matchAll(/(?:@|\/\/)([a-z_]+):\d+/g)].map(([, host = '']) => host);
      const needed = new Set(called).difference(recallBySense);
      expect(new Set(Object.keys(one.depends_on))).toEqual(needed);
    });
  });

  test('the databases can be reached by the parts alone that need them', () => {
    expect(compose.networks).toMatchObject({ data: { internal: true } });
    for (const name of ['postgres', 'redis', 'qdrant']) {
      if (name in compose.services)
        expect(service(name)).toMatchObject({ ports: [], networks: ['data'] });
    }
    expect(service('telegram_bot').networks).not.toContain('data');
  });

  test('what is published is published on this machine alone', () => {
    const published = all.flatMap(([name, { ports }]) => ports.map((port) => [name, port]));
    expect(published.map(([name, port]) => `${name} ${interpolate(`${port}`, {})}`)).toEqual([
      'backend 127.0.0.1:8080:8080',
      'telegram_bot 127.0.0.1:8081:8081',
      'directus 127.0.0.1:8055:8055',
    ]);
  });

  test('the images have the Node, the pnpm and the PostgreSQL of the project', () => {
    const postgresMajor = /^postgres:(\d+)/.exec(service('postgres').image ?? '')?.[1];
    const steps = all.flatMap(([, one]) => dockerfileOf(one));
    const those = (name: string) => steps.filter(({ instruction }) => instruction === name);
    for (const { rest } of those('FROM')) expect(rest).toMatch(`node:${nodeVersion}-`);
    for (const { rest } of those('RUN')) {
      const tools = `apk add --no-cache postgresql${postgresMajor}-client`;
      if (rest === tools || rest.startsWith('mkdir ')) continue;
      expect(rest).toMatch(`npx -y ${manifest.packageManager} install `);
    }
  });
});
