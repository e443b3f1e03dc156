import { defineComponent, h } from 'vue';
import type { PropType } from 'vue';
import { useRouter } from 'vue-router';
import { button, ConfirmButton } from './controls.ts';
import { ForgetButton } from './forget-button.ts';
import type { Session } from './rows.ts';
import type { TextKey } from './texts.ts';
import { useDesk } from './use-desk.ts';

/** What an operator does with a conversation as a whole. */
export const SessionActions = defineComponent({
  props: { session: { type: Object as PropType<Session>, required: true } },
  emits: ['changed'],
  setup(props, { emit }) {
    const desk = useDesk();
    const router = useRouter();
    const { say } = desk;
    const ask = async (path: string, told: TextKey, data: object = {}) => {
      const done = await desk.attempt(async () => {
        await desk.ask('POST', path, data);
        desk.tell(told);
      });
      if (done) emit('changed');
    };
    const chat = () => `/v1/chats/${encodeURIComponent(props.session.chat_id)}`;
    const session = () => `/v1/sessions/${props.session.id}`;
    const taking = () =>
      props.session.taken_over_at !== null
        ? button(say('hand_back'), () => void ask(`${chat()}/handback`, 'handed_back'), {
            icon: 'smart_toy',
            kind: 'primary',
          })
        : button(say('take_over'), () => void ask(`${chat()}/takeover`, 'took_over'), {
            icon: 'support_agent',
          });
    return () =>
      h('section', { class: 'desk-card desk-actions' }, [
        props.session.is_active ? taking() : null,
        button(say('summarize'), () => void ask(`${session()}/summarize`, 'queued'), {
          icon: 'summarize',
        }),
        h(ConfirmButton, {
          label: say('rebuild'),
          icon: 'restart_alt',
          kind: 'quiet',
          cancel: say('cancel'),
          describe: async () => say('rebuild_confirm'),
          act: () => void ask(`${session()}/rebuild`, 'queued'),
        }),
        props.session.is_active
          ? h(ConfirmButton, {
              label: say('close'),
              icon: 'lock',
              kind: 'quiet',
              cancel: say('cancel'),
              describe: async () => say('close_confirm'),
              act: () => void ask('/v1/chat/reset', 'closed_now', { session_id: props.session.id }),
            })
          : null,
        h(ForgetButton, {
          chatId: props.session.chat_id,
          onForgotten: () => void router.push('/content/chat_sessions'),
        }),
      ]);
  },
});
