import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cp, mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { runProgram } from '#src/local/run-program.ts';
import { root as context } from './compose.ts';

/** A stage of a Dockerfile, or the image it makes in the end. */
export interface Stage {
  /** The folder that stands for its `/`. */
  root: string;
  workdir: string;
  env: Record<string, string>;
  user: string;
  cmd: string[];
}

/** `FROM`, `COPY`, … with all that stands behind it, in order. */
export function readDockerfile(file: string): { instruction: string; rest: string }[] {
  return readFileSync(path.join(context, file), 'utf8')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, instruction = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
      return { instruction, rest };
    });
}

/**
 * Does by hand what `docker build` would: each stage in an empty folder of its own, with nothing but
 * what is copied there. The system's programs are this machine's, so steps use relative paths.
 */
export async function buildByHand(file: string, folder: string): Promise<Stage> {
  const stages: Stage[] = [];
  const names = new Map<string, Stage>();
  for (const { instruction, rest } of readDockerfile(file)) {
    const stage = stages.at(-1) ?? { root: '', workdir: '', env: {}, user: '', cmd: [] };
    switch (instruction) {
      case 'FROM': {
        const made = await createStage(path.join(folder, `${stages.length}`));
        stages.push(made);
        names.set(rest.split(/ AS /i)[1] ?? '', made);
        break;
      }
      case 'WORKDIR':
        stage.workdir = path.join(stage.root, rest);
        await mkdir(stage.workdir, { recursive: true });
        break;
      case 'ENV':
        for (const [, name = '', value = ''] of rest.matchAll(/(\w+)=(\S+)/g)) {
          stage.env[name] = value;
        }
        break;
      case 'USER':
        stage.user = rest;
        break;
      case 'CMD':
        stage.cmd = JSON.parse(rest);
        break;
      case 'EXPOSE':
        break;
      case 'COPY':
        await copy(rest, stage, names);
        break;
      case 'RUN':
        if (!rest.startsWith('apk add ')) await runStep(rest, stage);
        break;
      default:
        throw new Error(`${file}: ${instruction} cannot be done by hand`);
    }
  }
  const image = stages.at(-1);
  if (image === undefined) throw new Error(`${file} makes no image`);
  return image;
}

async function createStage(root: string): Promise<Stage> {
  await mkdir(root, { recursive: true });
  return { root, workdir: root, env: {}, user: 'root', cmd: [] };
}

async function copy(rest: string, stage: Stage, names: Map<string, Stage>): Promise<void> {
  const [, from, places = ''] = /^(?:--from=(\S+) )?(.*)$/.exec(rest) ?? [];
  const other = from === undefined ? undefined : names.get(from);
  if (from !== undefined && other === undefined) throw new Error(`COPY: no stage ${from}`);
  const sources = places.split(/\s+/);
  const target = sources.pop() ?? '';
  for (const source of sources) {
    const found = path.join(other?.root ?? context, source);
    if (other !== undefined) {
      await runProgram('cp', ['-al', `${found}/.`, path.join(stage.workdir, target)]);
      continue;
    }
    const isFile = (await stat(found)).isFile();
    const intoFolder = isFile && target.endsWith('/');
    await cp(found, path.join(stage.workdir, target, intoFolder ? path.basename(source) : ''), {
      recursive: true,
      filter: (place) => !isIgnored(path.relative(context, place)),
    });
  }
}

const ignoreRules = readFileSync(path.join(context, '.dockerignore'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

/** By the last rule of `.dockerignore` that fits the file or a folder it is in. */
function isIgnored(file: string): boolean {
  const parts = file.split(path.sep);
  const places = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
  const rule = ignoreRules.findLast((line) =>
    places.some((place) => path.matchesGlob(place, line.replace(/^!/, ''))),
  );
  return rule !== undefined && !rule.startsWith('!');
}

async function runStep(command: string, { workdir, env }: Stage): Promise<void> {
  const step = spawn('sh', ['-ec', command], {
    cwd: workdir,
    env: { ...process.env, CI: 'true', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  step.stdout.on('data', (data) => (output += String(data)));
  step.stderr.on('data', (data) => (output += String(data)));
  const [code] = await once(step, 'close');
  if (code !== 0) throw new Error(`RUN ${command} ended with ${code}: ${output}`);
}
