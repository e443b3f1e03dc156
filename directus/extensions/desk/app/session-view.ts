import { defineComponent, h, onUnmounted, ref, watch } from 'vue';
import { Composer } from './composer.ts';
import { MemoryCard } from './memory-card.ts';
import type { Session } from './rows.ts';
import { SessionActions } from './session-actions.ts';
import { Thread } from './thread.ts';
import { useDesk } from './use-desk.ts';
import type { Desk } from './use-desk.ts';

const LOOK_EVERY_MS = 5_000;

/** The page where an operator lives: the conversation, what the bot remembers of it, and what can be done. */
export const SessionView = defineComponent({
  props: { id: { type: String, required: true } },
  setup(props) {
    const desk = useDesk();
    const session = ref<Session>();
    const version = ref(0);
    const load = async () => {
      session.value = await desk.one<Session>('chat_sessions', props.id);
    };
    const changed = () => (version.value += 1);
    watch(
      () => [props.id, version.value],
      () => void desk.attempt(load),
      { immediate: true },
    );
    // As the thread does: what fails is tried again.
    const timer = setInterval(() => {
      if (!document.hidden) load().catch(() => {});
    }, LOOK_EVERY_MS);
    onUnmounted(() => clearInterval(timer));
    return () => {
      if (session.value === undefined) return h('div', '…');
      const part = { session: session.value, onChanged: changed };
      const versioned = { ...part, version: version.value };
      return h('div', { class: 'desk-session' }, [
        h('div', { class: 'desk-conversation' }, [
          h(Thread, versioned),
          desk.mayAct ? h(Composer, part) : h('p', { class: 'desk-empty' }, desk.say('viewer')),
        ]),
        h('aside', { class: 'desk-side' }, [
          facts(desk, session.value),
          h(MemoryCard, versioned),
          desk.mayAct ? h(SessionActions, part) : null,
        ]),
      ]);
    };
  },
});

function facts({ say, when }: Desk, session: Session) {
  const state = session.is_active ? 'open' : 'closed';
  return h('section', { class: 'desk-card desk-who' }, [
    h('div', { class: 'desk-part-head' }, [
      h('b', session.user_id),
      h('em', { class: state }, say(state)),
      session.taken_over_at !== null ? h('em', { class: 'operator' }, say('taken_over')) : null,
    ]),
    h('div', { class: 'desk-facts' }, [
      h('span', `${session.channel} · ${session.chat_id}`),
      h('span', say('opened', { when: when(session.created_at) })),
      session.closed_at === null
        ? null
        : h('span', say('closed_at', { when: when(session.closed_at) })),
    ]),
  ]);
}
