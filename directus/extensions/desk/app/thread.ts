import { computed, defineComponent, h, onUnmounted, ref, watch } from 'vue';
import type { PropType } from 'vue';
import { Bubble } from './bubble.ts';
import { button } from './controls.ts';
import type { Memory, Message, Session, Turn } from './rows.ts';
import { useDesk } from './use-desk.ts';
import type { Desk } from './use-desk.ts';

const PAGE = 40;
const LOOK_EVERY_MS = 5_000;

/** The conversation as a chat, newest last, looked at again while the page is open. */
export const Thread = defineComponent({
  props: {
    session: { type: Object as PropType<Session>, required: true },
    /** Changes when something was done that may show here. */
    version: { type: Number, required: true },
  },
  emits: ['changed'],
  setup(props, { emit }) {
    const desk = useDesk();
    const messages = ref<Message[]>([]);
    const turns = ref<Turn[]>([]);
    const memories = ref(new Map<string, Memory>());
    const people = ref(new Map<string, string>());
    const limit = ref(PAGE);
    const loaded = ref(false);
    const box = ref<HTMLElement>();
    const hasEarlier = computed(() => messages.value.length === limit.value);

    const load = async () => {
      const found = await readThread(desk, props.session.id, limit.value);
      const isNews = found.messages.at(-1)?.id !== messages.value.at(-1)?.id;
      [messages.value, turns.value, memories.value] = [found.messages, found.turns, found.memories];
      loaded.value = true;
      if (isNews) requestAnimationFrame(() => box.value?.scrollTo({ top: box.value.scrollHeight }));
    };
    watch(
      () => [props.session.id, props.version, limit.value],
      () => void desk.attempt(load),
      { immediate: true },
    );
    void desk.attempt(async () => {
      people.value = await readPeople(desk);
    });
    // What fails here is tried again shortly; the page shows what it had.
    const timer = setInterval(() => {
      if (!document.hidden) load().catch(() => {});
    }, LOOK_EVERY_MS);
    onUnmounted(() => clearInterval(timer));

    const turnOf = (id: string) =>
      turns.value.find((turn) => turn.reply_message_id === id || turn.user_message_id === id);
    return () =>
      h('div', { class: 'desk-thread', ref: box }, [
        hasEarlier.value
          ? button(desk.say('earlier'), () => (limit.value += PAGE), { kind: 'quiet' })
          : null,
        loaded.value && messages.value.length === 0
          ? h('p', { class: 'desk-empty' }, desk.say('no_messages'))
          : null,
        ...messages.value.map((message) =>
          h(Bubble, {
            key: message.id,
            message,
            turn: turnOf(message.id),
            memory: memories.value.get(message.id),
            operator: people.value.get(message.operator_id ?? ''),
            onChanged: () => emit('changed'),
          }),
        ),
      ]);
  },
});

const turnFields =
  'id,session_id,state,user_message_id,reply_message_id,model,latency_ms,prompt_tokens,completion_tokens,cost_usd,error,error_code,finish_reason';

async function readThread(desk: Desk, sessionId: string, limit: number) {
  const newestFirst = await desk.list<Message>('messages', {
    filter: { session_id: { _eq: sessionId } },
    sort: '-id',
    limit,
  });
  const messages = newestFirst.toReversed();
  const ids = messages.map(({ id }) => id);
  if (ids.length === 0) return { messages, turns: [], memories: new Map<string, Memory>() };
  const turnIds = new Set(messages.flatMap(({ turn_id: id }) => (id === null ? [] : [id])));
  const [turns, rows] = await Promise.all([
    desk.list<Turn>('turns', {
      filter: { id: { _in: [...turnIds] } },
      fields: turnFields,
      limit: -1,
    }),
    desk.list<{ id: string; message_id: string; importance: number }>('embeddings', {
      filter: { message_id: { _in: ids } },
      fields: 'id,message_id,importance',
      limit: -1,
    }),
  ]);
  return { messages, turns, memories: byMessage(rows) };
}

/** The panel's own users, by their ids. */
async function readPeople(desk: Desk): Promise<Map<string, string>> {
  const people = await desk.people();
  return new Map(
    people.map(({ id, first_name, last_name }) => [id, `${first_name ?? ''} ${last_name ?? ''}`]),
  );
}

function byMessage(rows: { id: string; message_id: string; importance: number }[]) {
  const memories = new Map<string, Memory>();
  for (const { id, message_id, importance } of rows) {
    const memory = memories.get(message_id) ?? { ids: [], importance };
    memory.ids.push(id);
    memories.set(message_id, memory);
  }
  return memories;
}
