import { defineComponent, h, nextTick, ref } from 'vue';
import type { PropType } from 'vue';
import { button, ConfirmButton, icon, valueOf } from './controls.ts';
import { ReplyContext } from './reply-context.ts';
import type { Memory, Message, Turn } from './rows.ts';
import { isText } from './texts.ts';
import { useDesk } from './use-desk.ts';
import type { Desk } from './use-desk.ts';

/** One message of the thread: its words, what became of it, and for a reply what it was made from. */
export const Bubble = defineComponent({
  props: {
    message: { type: Object as PropType<Message>, required: true },
    turn: { type: Object as PropType<Turn | undefined>, default: undefined },
    /** Who wrote it, where that is known. */
    operator: { type: String, default: '' },
    memory: { type: Object as PropType<Memory | undefined>, default: undefined },
  },
  emits: ['changed'],
  setup(props, { emit }) {
    const desk = useDesk();
    const { say, when } = desk;
    const isOpen = ref(false);
    const article = ref<HTMLElement>();
    const show = () => void nextTick(() => article.value?.scrollIntoView({ block: 'nearest' }));
    const isReply = () => props.turn?.reply_message_id === props.message.id;
    const doing = async (work: () => Promise<void>) => {
      if (await desk.attempt(work)) emit('changed');
    };
    const tools = () => {
      const { message, turn, memory } = props;
      return h('div', { class: 'desk-tools' }, [
        isReply()
          ? button(say('why'), () => (isOpen.value = !isOpen.value), {
              kind: 'quiet',
              icon: isOpen.value ? 'expand_less' : 'expand_more',
            })
          : null,
        ...(desk.mayAct ? deeds(desk, doing, { message, turn, memory }) : []),
      ]);
    };
    return () => {
      const { message, turn } = props;
      const speaker = message.author === 'operator' ? 'operator' : message.role;
      const head = [
        icon(icons[speaker] ?? 'chat'),
        h('b', `${isText(speaker) ? say(speaker) : speaker} ${props.operator}`),
        h('span', when(message.created_at)),
        ...states(desk, message, turn),
      ];
      return h('article', { ref: article, class: ['desk-bubble', speaker] }, [
        h('div', { class: 'desk-bubble-head' }, head),
        h('div', { class: 'desk-words' }, message.content),
        tools(),
        isOpen.value && turn !== undefined ? h(ReplyContext, { turn, onDrawn: show }) : null,
      ]);
    };
  },
});

const icons: Record<string, string> = {
  user: 'person',
  assistant: 'smart_toy',
  operator: 'support_agent',
  system: 'settings',
  tool: 'build',
};

function states({ say }: Desk, message: Message, turn: Turn | undefined) {
  const delivery = `delivery_${message.delivery_state}`;
  const failed = turn?.user_message_id === message.id && turn.state !== 'answered';
  const state = `state_${turn?.state}`;
  return [
    isText(delivery)
      ? h('em', { class: message.delivery_state, title: message.delivery_error }, say(delivery))
      : null,
    failed && isText(state) ? h('em', { class: turn.state, title: turn.error }, say(state)) : null,
  ];
}

interface Subject {
  message: Message;
  turn: Turn | undefined;
  memory: Memory | undefined;
}

type Doing = (work: () => Promise<void>) => Promise<void>;

function deeds(desk: Desk, doing: Doing, { message, turn, memory }: Subject) {
  const { say } = desk;
  const isStuck = message.delivery_state === 'uncertain' || message.delivery_state === 'failed';
  const isUnanswered = turn?.user_message_id === message.id && turn.state === 'failed';
  return [
    isUnanswered
      ? button(say('retry'), () => void doing(() => retryTurn(desk, turn.id)), { icon: 'replay' })
      : null,
    isStuck
      ? button(say('retry_sending'), () => void doing(() => retryDelivery(desk, message.id)), {
          icon: 'replay',
        })
      : null,
    memory === undefined ? null : importance(desk, doing, memory),
    h(ConfirmButton, {
      label: say('delete'),
      icon: 'delete',
      kind: 'quiet',
      cancel: say('cancel'),
      describe: async () => say('delete_confirm'),
      act: () =>
        void doing(async () => {
          await desk.change('DELETE', `messages/${message.id}`);
          desk.tell('deleted');
        }),
    }),
  ];
}

/** How readily a memory is recalled. An odd value, set elsewhere, is shown as it is. */
function importance(desk: Desk, doing: Doing, memory: Memory) {
  const { say } = desk;
  const usual = [
    { value: 0, label: say('importance_0') },
    { value: 1, label: say('importance_1') },
    { value: 3, label: say('importance_3') },
  ];
  const other = { value: memory.importance, label: String(memory.importance) };
  const choices = usual.some(({ value }) => value === memory.importance)
    ? usual
    : [...usual, other];
  const onChange = (event: Event) => {
    const value = valueOf(event);
    void doing(async () => {
      const data = { keys: memory.ids, data: { importance: Number(value) } };
      await desk.change('PATCH', 'embeddings', data);
      desk.tell('saved');
    });
  };
  return h('label', { class: 'desk-importance' }, [
    say('importance'),
    h(
      'select',
      { onChange },
      choices.map(({ value, label }) =>
        h('option', { value, selected: value === memory.importance }, label),
      ),
    ),
  ]);
}

export async function retryTurn(desk: Desk, id: string): Promise<void> {
  await desk.ask('POST', `/v1/turns/${id}/retry`);
  desk.tell('retried');
}

export async function retryDelivery(desk: Desk, messageId: string): Promise<void> {
  await desk.ask('POST', `/v1/deliveries/${messageId}/retry`);
  desk.tell('retried');
}
