import { defineComponent, h, ref, watch } from 'vue';
import type { PropType } from 'vue';
import { button, valueOf } from './controls.ts';
import type { Session, Summary } from './rows.ts';
import { useDesk } from './use-desk.ts';

/** What the bot remembers of the conversation's beginning, corrected in place. */
export const MemoryCard = defineComponent({
  props: {
    session: { type: Object as PropType<Session>, required: true },
    version: { type: Number, required: true },
  },
  emits: ['changed'],
  setup(props, { emit }) {
    const desk = useDesk();
    const { say, when } = desk;
    const summary = ref<Summary>();
    const draft = ref<string>();
    const load = async () => {
      const [latest] = await desk.list<Summary>('conversation_summaries', {
        filter: { session_id: { _eq: props.session.id } },
        sort: '-version',
        limit: 1,
      });
      summary.value = latest;
    };
    watch(
      () => [props.session.id, props.version],
      () => void desk.attempt(load),
      { immediate: true },
    );
    const save = async (id: string) => {
      const done = await desk.attempt(async () => {
        await desk.change('PATCH', `conversation_summaries/${id}`, { content: draft.value });
        desk.tell('saved');
      });
      if (!done) return;
      draft.value = undefined;
      emit('changed');
    };
    const editor = ({ id }: Summary, text: string) => [
      h('textarea', {
        rows: 10,
        'aria-label': say('summary'),
        value: text,
        onInput: (event: Event) => (draft.value = valueOf(event)),
        onKeydown: (event: Event) => event.stopPropagation(),
      }),
      h('div', { class: 'desk-tools' }, [
        button(say('save'), () => void save(id), {
          kind: 'primary',
          disabled: text.trim() === '',
        }),
        button(say('cancel'), () => (draft.value = undefined)),
      ]),
    ];
    const reader = ({ content }: Summary) => [
      h('blockquote', content),
      desk.mayAct
        ? button(say('edit'), () => (draft.value = content), { kind: 'quiet', icon: 'edit' })
        : null,
    ];
    const failure = () =>
      props.session.summary_error === null
        ? null
        : h('p', { class: 'desk-warning' }, [
            say('summary_failed', { why: props.session.summary_error }),
          ]);
    return () => {
      const latest = summary.value;
      const head =
        latest === undefined
          ? [h('b', say('no_summary'))]
          : [
              h('b', say('summary_version', { n: latest.version })),
              h('span', when(latest.created_at)),
            ];
      return h('section', { class: 'desk-card desk-summary' }, [
        h('div', { class: 'desk-part-head' }, head),
        ...(latest === undefined
          ? []
          : draft.value === undefined
            ? reader(latest)
            : editor(latest, draft.value)),
        failure(),
        h('div', { class: 'desk-facts' }, [
          h('span', say('not_summarised', { n: props.session.messages_since_summary })),
        ]),
      ]);
    };
  },
});
