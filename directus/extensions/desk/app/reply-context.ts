import { defineComponent, h, ref } from 'vue';
import type { PropType, VNode } from 'vue';
import type { ContextLog, Recalled, Turn } from './rows.ts';
import { useDesk } from './use-desk.ts';
import type { Desk } from './use-desk.ts';

/** What the model was sent for a reply, and why: from the turn's context log and the rows as they are now. */
export const ReplyContext = defineComponent({
  props: { turn: { type: Object as PropType<Turn>, required: true } },
  emits: ['drawn'],
  setup(props, { emit }) {
    const desk = useDesk();
    const log = ref<ContextLog | null>();
    const texts = ref(new Map<string, string>());
    const load = async () => {
      const { context } = await desk.one<{ context: ContextLog | null }>('turns', props.turn.id);
      texts.value = await textsOf(desk, context);
      log.value = context;
      emit('drawn');
    };
    void desk.attempt(load);
    return () => {
      if (log.value === undefined) return h('div', { class: 'desk-context' }, '…');
      if (log.value?.tokens === undefined) {
        return h('div', { class: 'desk-context' }, desk.say('no_context'));
      }
      return draw(desk, props.turn, log.value, texts.value);
    };
  },
});

/** Of the summary (`s` and its id) and of what was recalled (`m` and its id); what was erased is missing. */
async function textsOf(desk: Desk, log: ContextLog | null): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  if (log?.summary) {
    const filter = { id: { _eq: log.summary.id } };
    const rows = await desk.list<{ content: string }>('conversation_summaries', { filter });
    for (const { content } of rows) texts.set(`s${log.summary.id}`, content);
  }
  if (log?.recalled?.length) {
    const ids = log.recalled.map(({ memory_id }) => memory_id);
    const rows = await desk.list<{ id: string; content: string | null }>('embeddings', {
      filter: { id: { _in: ids } },
      fields: 'id,content',
      limit: -1,
    });
    for (const { id, content } of rows) texts.set(`m${id}`, content ?? '');
  }
  return texts;
}

function draw(desk: Desk, turn: Turn, log: ContextLog, texts: Map<string, string>): VNode {
  const { say } = desk;
  const tokens = (n: number) => say('tokens', { n });
  const recalled = log.recalled ?? [];
  return h('div', { class: 'desk-context' }, [
    h('div', { class: 'desk-facts' }, [
      ...facts(desk, turn).map((fact) => h('span', fact)),
      h('span', say('budget', { n: log.tokens.prompt, max: log.tokens.budget })),
    ]),
    meter(log),
    part('instruction', say('instruction'), tokens(log.tokens.instruction)),
    log.summary === undefined
      ? part('summary', say('no_summary'), '')
      : part(
          'summary',
          say('summary_version', { n: log.summary.version }),
          tokens(log.tokens.summary ?? 0),
          quote(texts.get(`s${log.summary.id}`) ?? say('erased')),
        ),
    part('window', say('window', { n: log.window?.messages ?? 0 }), windowOf(desk, log)),
    part(
      'recalled',
      recalled.length === 0 ? say('recalled_none') : say('recalled', { n: recalled.length }),
      '',
      ...recalled.map((hit) => memory(desk, hit, texts.get(`m${hit.memory_id}`))),
    ),
    part('message', say('message'), tokens(log.tokens.message)),
    part('left-out', ...leftOut(desk, log)),
  ]);
}

function facts({ say }: Desk, turn: Turn): string[] {
  const { model, latency_ms, prompt_tokens: prompt, completion_tokens: completion } = turn;
  return [
    model,
    latency_ms === null ? null : `${latency_ms} ms`,
    prompt === null ? null : say('counted', { prompt, completion: completion ?? 0 }),
    turn.cost_usd === null ? null : `$${Number(turn.cost_usd).toFixed(4)}`,
    turn.finish_reason === 'stop' ? null : turn.finish_reason,
  ].filter((fact) => fact !== null);
}

/** How the prompt's tokens divide. */
function meter(log: ContextLog): VNode {
  const recalled = (log.recalled ?? []).reduce((sum, hit) => sum + hit.tokens, 0);
  const { tokens } = log;
  const parts: [string, number][] = [
    ['instruction', tokens.instruction],
    ['summary', tokens.summary ?? 0],
    ['window', tokens.window ?? 0],
    ['recalled', recalled],
    ['message', tokens.message],
  ];
  return h(
    'div',
    { class: 'desk-meter' },
    parts.map(([name, count]) => h('i', { class: name, style: { flexGrow: count } })),
  );
}

function part(name: string, title: string, detail: string, ...content: VNode[]): VNode {
  const head = [h('i', { class: name }), h('b', title), h('span', detail)];
  return h('div', { class: 'desk-part' }, [
    h('div', { class: 'desk-part-head' }, head),
    ...content,
  ]);
}

function windowOf({ say }: Desk, { window, tokens }: ContextLog): string {
  const range = window === undefined ? '' : `#${window.first} … #${window.last} · `;
  return range + say('tokens', { n: tokens.window ?? 0 });
}

function memory({ say, when }: Desk, hit: Recalled, text: string | undefined): VNode {
  const source = say(hit.source === 'summary' ? 'from_summary' : 'from_message');
  const origin = [source, say('score', { n: hit.score.toFixed(2) }), when(hit.created_at)];
  return h('div', { class: 'desk-memory' }, [
    quote(text ?? say('erased')),
    h(
      'div',
      { class: 'desk-facts' },
      origin.map((fact) => h('span', fact)),
    ),
  ]);
}

function leftOut({ say }: Desk, { left_out: left, notes = [] }: ContextLog): [string, string] {
  const reasons = [
    left?.messages ? say('left_messages', { n: left.messages }) : null,
    left?.unanswered_messages ? say('left_unanswered', { n: left.unanswered_messages }) : null,
    left?.memories ? say('left_memories', { n: left.memories }) : null,
    ...notes,
  ].filter((reason) => reason !== null);
  if (reasons.length === 0) return [say('left_out_nothing'), ''];
  return [say('left_out'), reasons.join(' · ')];
}

function quote(text: string): VNode {
  return h('blockquote', text);
}
