import { defineComponent, h } from 'vue';
import { MemoryView, MessageView, TurnView, UserView } from './row-views.ts';
import { SessionView } from './session-view.ts';
import { addStyle } from './style.ts';
import { useTexts } from './texts.ts';

const views = {
  chat_sessions: SessionView,
  turns: TurnView,
  messages: MessageView,
  embeddings: MemoryView,
  users: UserView,
};

function isViewed(collection: string): collection is keyof typeof views {
  return collection in views;
}

const Desk = defineComponent({
  props: {
    primaryKey: { type: [String, Number], default: undefined },
    collection: { type: String, required: true },
  },
  setup(props) {
    addStyle();
    const { say } = useTexts();
    return () => {
      const id = props.primaryKey === undefined ? '+' : String(props.primaryKey);
      if (id === '+' || !isViewed(props.collection)) {
        return h('p', { class: 'desk-empty' }, say('save_first'));
      }
      return h(views[props.collection], { id, key: id });
    };
  },
});

/** Our own view of a row, on its page. */
export const desk = {
  id: 'desk',
  name: 'Desk',
  icon: 'forum',
  types: ['alias'],
  localTypes: ['presentation'],
  group: 'presentation',
  hideLabel: true,
  options: [],
  component: Desk,
};
