import { defineComponent, h, ref, watch } from 'vue';
import { RouterLink, useRouter } from 'vue-router';
import { retryDelivery, retryTurn } from './bubble.ts';
import { button, ConfirmButton } from './controls.ts';
import { ForgetButton } from './forget-button.ts';
import { ReplyContext } from './reply-context.ts';
import type { Message, Session, Turn } from './rows.ts';
import { isText } from './texts.ts';
import { useDesk } from './use-desk.ts';

/** A row that is read once, and again when something was done to it. */
function useRow<Row>(collection: string, id: () => string) {
  const desk = useDesk();
  const row = ref<Row>();
  const load = () =>
    desk.attempt(async () => {
      row.value = await desk.one<Row>(collection, id());
    });
  watch(id, () => void load(), { immediate: true });
  const doing = async (work: () => Promise<void>) => {
    if (await desk.attempt(work)) await load();
  };
  return { desk, row, doing };
}

const props = { id: { type: String, required: true } } as const;

/** The button an operator lives by: to the page of the conversation. */
function toConversation(say: ReturnType<typeof useDesk>['say'], sessionId: string) {
  const to = `/content/chat_sessions/${sessionId}`;
  return h(RouterLink, { class: 'desk-button primary', to }, () => say('open_conversation'));
}

export const TurnView = defineComponent({
  props,
  setup(own) {
    const { desk, row, doing } = useRow<Turn>('turns', () => own.id);
    const messages = ref<Message[]>([]);
    watch(row, async (turn) => {
      const ids = [turn?.user_message_id, turn?.reply_message_id].filter((id) => id != null);
      if (ids.length === 0) return;
      await desk.attempt(async () => {
        const filter = { id: { _in: ids } };
        messages.value = await desk.list<Message>('messages', { filter, sort: 'id' });
      });
    });
    return () => {
      const turn = row.value;
      if (turn === undefined) return h('div', '…');
      return h('section', { class: 'desk-card' }, [
        h('div', { class: 'desk-tools' }, [
          toConversation(desk.say, turn.session_id),
          desk.mayAct && turn.state === 'failed'
            ? button(desk.say('retry'), () => void doing(() => retryTurn(desk, turn.id)), {
                icon: 'replay',
              })
            : null,
        ]),
        turn.error === null
          ? null
          : h('p', { class: 'desk-warning' }, desk.say('turn_failed', { why: turn.error })),
        ...messages.value.map(({ role, content }) => [
          h('div', { class: 'desk-part-head' }, [h('b', isText(role) ? desk.say(role) : role)]),
          h('blockquote', content),
        ]),
        h(ReplyContext, { turn, key: turn.state }),
      ]);
    };
  },
});

export const MessageView = defineComponent({
  props,
  setup(own) {
    const { desk, row, doing } = useRow<Message>('messages', () => own.id);
    return () => {
      const message = row.value;
      if (message === undefined) return h('div', '…');
      const isStuck = ['uncertain', 'failed'].includes(message.delivery_state ?? '');
      return h('section', { class: 'desk-card desk-tools' }, [
        toConversation(desk.say, message.session_id),
        desk.mayAct && isStuck
          ? button(
              desk.say('retry_sending'),
              () => void doing(() => retryDelivery(desk, message.id)),
              { icon: 'replay' },
            )
          : null,
      ]);
    };
  },
});

export const MemoryView = defineComponent({
  props,
  setup(own) {
    type Row = { state: string; session_id: string };
    const { desk, row, doing } = useRow<Row>('embeddings', () => own.id);
    const retry = async () => {
      const { retried } = await desk.ask<{ retried: number }>('POST', '/v1/memories/retry');
      desk.tell('retried_index', { n: retried });
    };
    return () => {
      const memory = row.value;
      if (memory === undefined) return h('div', '…');
      return h('section', { class: 'desk-card desk-tools' }, [
        toConversation(desk.say, memory.session_id),
        desk.mayAct && memory.state === 'failed'
          ? button(desk.say('retry_index'), () => void doing(retry), { icon: 'replay' })
          : null,
      ]);
    };
  },
});

interface User {
  id: string;
  access: string;
  pairing_code: string | null;
}

export const UserView = defineComponent({
  props,
  setup(own) {
    const { desk, row, doing } = useRow<User>('users', () => own.id);
    const router = useRouter();
    const sessions = ref<Session[]>([]);
    void desk.attempt(async () => {
      sessions.value = await desk.list<Session>('chat_sessions', {
        filter: { user_id: { _eq: own.id } },
        sort: '-created_at',
        limit: 20,
      });
    });
    const decide = (access: string, told: 'approved' | 'blocked') =>
      void doing(async () => {
        await desk.change('PATCH', `users/${encodeURIComponent(own.id)}`, { access });
        desk.tell(told);
      });
    const deeds = (user: User) => [
      user.access === 'approved'
        ? null
        : button(desk.say('approve'), () => decide('approved', 'approved'), {
            icon: 'verified_user',
            kind: 'primary',
          }),
      user.access === 'blocked'
        ? null
        : h(ConfirmButton, {
            label: desk.say('block'),
            icon: 'block',
            cancel: desk.say('cancel'),
            describe: async () => user.id,
            act: () => decide('blocked', 'blocked'),
          }),
      h(ForgetButton, {
        userId: user.id,
        onForgotten: () => void router.push('/content/users'),
      }),
    ];
    return () => {
      if (row.value === undefined) return h('div', '…');
      return h('section', { class: 'desk-card' }, [
        desk.mayAct ? h('div', { class: 'desk-tools' }, deeds(row.value)) : null,
        h('div', { class: 'desk-part-head' }, [h('b', desk.say('conversations'))]),
        sessions.value.length === 0 ? h('p', desk.say('no_conversations')) : null,
        ...sessions.value.map((session) =>
          h(RouterLink, { class: 'desk-row', to: `/content/chat_sessions/${session.id}` }, () => [
            h('span', session.chat_id),
            h('em', { class: session.is_active ? 'open' : 'closed' }, [
              desk.say(session.is_active ? 'open' : 'closed'),
            ]),
            h('span', desk.when(session.created_at)),
          ]),
        ),
      ]);
    };
  },
});
