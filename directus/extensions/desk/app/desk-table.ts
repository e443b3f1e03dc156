import { useApi, useExtensions } from '@directus/extensions-sdk';
import { h, resolveComponent } from 'vue';
import type { Slots } from 'vue';
import { button } from './controls.ts';
import { saveFile } from './save-file.ts';
import { addStyle } from './style.ts';
import { useTexts } from './texts.ts';

const base = 'tabular';

/** Directus' own table, with an export of all that is filtered: its own stops at a page. */
export const deskTable = {
  id: 'desk-table',
  name: 'Desk',
  icon: 'table_rows',
  component: passOn(`layout-${base}`),
  slots: {
    options: passOn(`layout-options-${base}`),
    sidebar: () => undefined,
    actions: {
      inheritAttrs: false,
      setup(_: object, { attrs }: { attrs: Attributes }) {
        addStyle();
        const { say } = useTexts();
        const api = useApi();
        const download = (format: 'csv' | 'json') => {
          const { collection, filter, search } = attrs;
          const query = JSON.stringify({ filter, search });
          return saveFile(api, `/desk/export/${collection}`, { format, query });
        };
        return () => [
          h(resolveComponent(`layout-actions-${base}`), attrs),
          ...(['csv', 'json'] as const).map((format) =>
            button(format.toUpperCase(), () => void download(format), {
              kind: 'quiet',
              icon: 'download',
              title: `${say('export')} ${format.toUpperCase()}`,
            }),
          ),
        ];
      },
    },
  },
  setup(props: object, context: object): Record<string, unknown> {
    const table = useExtensions().layouts.value.find(({ id }) => id === base);
    return table?.setup(props, context) ?? {};
  },
};

interface Attributes extends Record<string, unknown> {
  collection?: string;
  filter?: unknown;
  search?: string | null;
}

function passOn(component: string) {
  return {
    inheritAttrs: false,
    setup(_: object, { attrs, slots }: { attrs: object; slots: Slots }) {
      return () => h(resolveComponent(component), attrs, slots);
    },
  };
}
