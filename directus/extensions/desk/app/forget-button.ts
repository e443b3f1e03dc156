import { defineComponent, h } from 'vue';
import { ConfirmButton } from './controls.ts';
import { useDesk } from './use-desk.ts';

/** Erases a chat or a user, after saying how many rows that are. */
export const ForgetButton = defineComponent({
  props: {
    chatId: { type: String, default: undefined },
    userId: { type: String, default: undefined },
  },
  emits: ['forgotten'],
  setup(props, { emit }) {
    const desk = useDesk();
    const whom = props.userId === undefined ? { chat_id: props.chatId } : { user_id: props.userId };
    const path =
      props.userId === undefined
        ? `/v1/chats/${encodeURIComponent(props.chatId ?? '')}`
        : `/v1/users/${encodeURIComponent(props.userId)}`;
    const describe = async () => {
      let question: string | undefined;
      await desk.attempt(async () => {
        const { rows, total } = await desk.ask<Footprint>('GET', `${path}/footprint`);
        const parts = Object.entries(rows).filter(([, n]) => n > 0);
        const list = parts.map(([name, n]) => `${name} ${n}`).join(', ');
        question = desk.say('forget_confirm', { total, rows: list });
      });
      return question;
    };
    const act = () =>
      void desk
        .attempt(async () => {
          const { total } = await desk.ask<Footprint>('GET', `${path}/footprint`);
          await desk.ask('POST', '/v1/chat/forget', whom);
          desk.tell('forgotten', { total });
        })
        .then((done) => (done ? emit('forgotten') : undefined));
    return () =>
      h(ConfirmButton, {
        label: desk.say(props.userId === undefined ? 'forget_chat' : 'forget_user'),
        icon: 'delete_forever',
        cancel: desk.say('cancel'),
        describe,
        act,
      });
  },
});

interface Footprint {
  rows: Record<string, number>;
  total: number;
}
