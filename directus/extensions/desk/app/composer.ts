import { defineComponent, h, ref } from 'vue';
import type { PropType } from 'vue';
import { button, valueOf } from './controls.ts';
import type { Session } from './rows.ts';
import { useDesk } from './use-desk.ts';

/** Where the operator writes to the user. */
export const Composer = defineComponent({
  props: { session: { type: Object as PropType<Session>, required: true } },
  emits: ['changed'],
  setup(props, { emit }) {
    const desk = useDesk();
    const text = ref('');
    const isSending = ref(false);
    const send = async () => {
      if (text.value.trim() === '' || isSending.value) return;
      isSending.value = true;
      const done = await desk.attempt(async () => {
        const chat = encodeURIComponent(props.session.chat_id);
        await desk.ask('POST', `/v1/chats/${chat}/messages`, { text: text.value });
        desk.tell('queued_to_send');
      });
      isSending.value = false;
      if (!done) return;
      text.value = '';
      emit('changed');
    };
    const onKeydown = (event: KeyboardEvent) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void send();
      // Directus saves the form at some keys.
      event.stopPropagation();
    };
    return () =>
      h('div', { class: 'desk-composer' }, [
        h('textarea', {
          rows: 2,
          maxlength: 32_000,
          placeholder: desk.say('say'),
          'aria-label': desk.say('say'),
          value: text.value,
          onInput: (event: Event) => (text.value = valueOf(event)),
          onKeydown,
        }),
        button(desk.say('send'), () => void send(), {
          kind: 'primary',
          icon: 'send',
          disabled: text.value.trim() === '' || isSending.value,
        }),
      ]);
  },
});
