import { defineComponent, h, ref, resolveComponent } from 'vue';
import type { VNode } from 'vue';

/** An icon of Directus' own set. */
export function icon(name: string): VNode {
  return h(resolveComponent('v-icon'), { name, small: true });
}

export interface ButtonLook {
  kind?: 'primary' | 'danger' | 'quiet';
  icon?: string;
  disabled?: boolean;
  title?: string;
}

export function button(
  label: string,
  onClick: () => void,
  { kind, icon: name, disabled, title }: ButtonLook = {},
): VNode {
  return h(
    'button',
    { type: 'button', class: ['desk-button', kind], onClick, disabled, title: title ?? label },
    [name === undefined ? null : icon(name), h('span', label)],
  );
}

/** A button whose deed is asked about first. `describe` may look up what it would do. */
export const ConfirmButton = defineComponent({
  props: {
    label: { type: String, required: true },
    icon: { type: String, default: undefined },
    cancel: { type: String, required: true },
    kind: { type: String, default: undefined },
    /** Resolves with the question, or undefined where there is nothing to ask. */
    describe: { type: Function, required: true },
    act: { type: Function, required: true },
  },
  setup(props) {
    const question = ref<string>();
    const open = async () => {
      question.value = await props.describe();
    };
    const confirm = () => {
      question.value = undefined;
      props.act();
    };
    const dialog = () =>
      h(
        resolveComponent('v-dialog'),
        { modelValue: question.value !== undefined, onEsc: () => (question.value = undefined) },
        {
          default: () =>
            h(resolveComponent('v-card'), { class: 'desk-dialog' }, () => [
              h(resolveComponent('v-card-title'), () => props.label),
              h(resolveComponent('v-card-text'), () => question.value),
              h(resolveComponent('v-card-actions'), () => [
                button(props.cancel, () => (question.value = undefined)),
                button(props.label, confirm, { kind: 'danger' }),
              ]),
            ]),
        },
      );
    return () => [
      button(props.label, () => void open(), {
        kind: props.kind === 'quiet' ? 'quiet' : 'danger',
        icon: props.icon,
      }),
      dialog(),
    ];
  },
});

/** Of the text area or list that an event is about. */
export function valueOf({ target }: Event): string {
  const isInput = target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
  return isInput ? target.value : '';
}
