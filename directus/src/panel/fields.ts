import type { Row } from '#src/provision/differences.ts';
import { blue, green, grey, orange, purple, red } from './palette.ts';
import { names } from './texts.ts';

/** A value that operators read. Other kinds of fields build on it. */
export function shown(en: string, ru: string, more: Row = {}): Row {
  return {
    interface: 'input',
    display: 'raw',
    readonly: true,
    translations: names(en, ru),
    ...more,
  };
}

/** Kept for the machine: in the form's folded part. */
export function technical(en: string, ru: string, more: Row = {}): Row {
  return shown(en, ru, { group: 'technical', ...more });
}

export function text(en: string, ru: string, more: Row = {}): Row {
  const area = { interface: 'input-multiline', width: 'full', display: 'formatted-value' };
  return shown(en, ru, { ...area, ...more });
}

export function time(en: string, ru: string, more: Row = {}): Row {
  const input = { interface: 'datetime', options: { includeSeconds: true } };
  const display = { display: 'datetime', display_options: { relative: true, strict: true } };
  return shown(en, ru, { ...input, ...display, ...more });
}

export function number(en: string, ru: string, more: Row = {}): Row {
  return shown(en, ru, { display: 'formatted-value', display_options: { format: true }, ...more });
}

/** One of a few states, in its colour and with its icon. */
export function state(en: string, ru: string, states: State[], more: Row = {}): Row {
  const choices = states.map(({ value, label, icon, color }) => ({
    text: `$t:${label ?? value}`,
    value,
    icon,
    color,
  }));
  return shown(en, ru, {
    interface: 'select-dropdown',
    options: { choices },
    display: 'labels',
    display_options: {
      format: false,
      choices: choices.map((choice) => ({
        ...choice,
        color: '#FFFFFF',
        foreground: '#FFFFFF',
        background: choice.color,
      })),
    },
    ...more,
  });
}

export interface State {
  value: string;
  /** The text's key, where it is not the value itself. */
  label?: string;
  icon: string;
  color: string;
}

const one = (value: string, icon: string, color: string, label?: string): State => ({
  value,
  icon,
  color,
  ...(label === undefined ? {} : { label }),
});

export const speakers = [
  one('user', 'person', blue),
  one('assistant', 'smart_toy', purple),
  one('system', 'settings', grey),
  one('tool', 'build', orange),
];
export const authors = [one('operator', 'support_agent', orange)];
export const turnStates = [
  one('received', 'schedule', grey),
  one('answering', 'more_horiz', blue),
  one('answered', 'check_circle', green),
  one('failed', 'error', red),
  one('cancelled', 'stop_circle', orange),
  one('silenced', 'support_agent', orange),
];
export const deliveryStates = [
  one('pending', 'schedule', grey),
  one('sending', 'send', blue),
  one('sent', 'done_all', green),
  one('uncertain', 'help', orange),
  one('failed', 'error', red),
];
export const indexStates = [
  one('pending', 'schedule', grey),
  one('indexed', 'check_circle', green),
  one('failed', 'error', red),
];
export const accessStates = [
  one('unknown', 'help', grey),
  one('pending', 'front_hand', orange, 'asked'),
  one('approved', 'verified_user', green),
  one('blocked', 'block', red),
];

/** The row this one belongs to, as a link. */
export function link(en: string, ru: string, template: string, more: Row = {}): Row {
  return shown(en, ru, {
    special: ['m2o'],
    interface: 'select-dropdown-m2o',
    options: { template, enableCreate: false, enableSelect: false },
    display: 'related-values',
    display_options: { template },
    ...more,
  });
}

/** The rows that belong to this one. */
export function rows(
  en: string,
  ru: string,
  { template, sort, limit }: { template: string; sort: string; limit: number },
  more: Row = {},
): Row {
  return {
    special: ['o2m'],
    interface: 'list-o2m',
    width: 'full',
    options: {
      layout: 'list',
      template,
      limit,
      sort: sort.replace('-', ''),
      sortDirection: sort.startsWith('-') ? '-' : '+',
      enableCreate: false,
      enableSelect: false,
      enableLink: true,
    },
    display: 'related-values',
    display_options: { template: '{{id}}' },
    translations: names(en, ru),
    ...more,
  };
}

/** Our own view of the row: what it says and what can be done with it. */
export function desk(): Row {
  return {
    special: ['alias', 'no-data'],
    interface: 'desk',
    width: 'fill',
    options: null,
    translations: names('Desk', 'Рабочее место'),
  };
}

/** The folded part of a form. */
export function folded(en: string, ru: string, icon: string): Row {
  return {
    special: ['alias', 'no-data', 'group'],
    interface: 'group-detail',
    width: 'full',
    options: { start: 'closed', headerIcon: icon },
    translations: names(en, ru),
  };
}

export const technicalGroup = folded('Technical', 'Служебное', 'memory');

/** A collection's own look. Its order in the navigation is `sort`. */
export function look(
  icon: string,
  color: string,
  sort: number,
  display_template: string,
  more: Row,
): Row {
  return {
    icon,
    color,
    sort,
    display_template,
    hidden: false,
    singleton: false,
    accountability: 'all',
    archive_field: null,
    ...more,
  };
}
