import type { Config } from '#src/config.ts';
import type { Row } from '#src/provision/differences.ts';
import { purple } from './palette.ts';

const modules = (enabled: boolean, ...ids: string[]) =>
  ids.map((id) => ({ type: 'module', id, enabled }));

export function settings({ usage }: Pick<Config, 'usage'>): Row {
  return {
    project_name: 'LLM Bot Core',
    project_descriptor: 'Operators',
    project_color: purple,
    default_language: 'en-US',
    default_appearance: 'auto',
    project_usage: usage,
    module_bar: [
      ...modules(true, 'content', 'insights', 'users'),
      ...modules(false, 'files', 'visual', 'deployments'),
      { type: 'module', id: 'settings', enabled: true, locked: true },
    ],
  };
}
