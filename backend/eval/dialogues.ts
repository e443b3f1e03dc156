import { z } from 'zod';

export interface Dialogue {
  id: string;
  /** In order; those of one number are one conversation. */
  lines: { session: number; place: string; firstSpeaker: boolean; text: string; date: Date }[];
  questions: { text: string; category: number; evidence: string[] }[];
}

const Line = z.object({
  dia_id: z.string(),
  speaker: z.string(),
  text: z.string(),
  blip_caption: z.string().optional(),
});
const Sample = z.object({
  sample_id: z.coerce.string().optional(),
  conversation: z.record(z.string(), z.unknown()),
  qa: z.array(
    z.object({
      question: z.coerce.string(),
      category: z.coerce.number().default(0),
      evidence: z.array(z.string()).nullish(),
    }),
  ),
});

/** Reads dialogues in LoCoMo's layout. Throws a `ZodError` for any other. */
export function parseDialogues(json: unknown): Dialogue[] {
  return z.array(Sample).parse(json).map(toDialogue);
}

function toDialogue(sample: z.infer<typeof Sample>, index: number): Dialogue {
  const { conversation } = sample;
  const sessions = Object.keys(conversation)
    .flatMap((key) => /^session_(\d+)$/.exec(key)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  const lines = sessions.flatMap((session) => {
    const date = parseDate(conversation[`session_${session}_date_time`]);
    return z
      .array(Line)
      .parse(conversation[`session_${session}`])
      .map((line) => ({
        session,
        place: placesIn(line.dia_id)[0] ?? line.dia_id,
        firstSpeaker: line.speaker === (conversation.speaker_a ?? line.speaker),
        text: `${line.speaker}: ${line.text}${line.blip_caption === undefined ? '' : ` [picture: ${line.blip_caption}]`}`,
        date,
      }));
  });
  return {
    id: sample.sample_id ?? String(index + 1),
    lines,
    questions: sample.qa.map(({ question, category, evidence }) => ({
      text: question,
      category,
      evidence: [...new Set((evidence ?? []).flatMap(placesIn))],
    })),
  };
}

/** `D1:3`, also several of them in one string, as `1:3`. */
function placesIn(text: string): string[] {
  return [...text.matchAll(/D:?(\d+):(\d+)/g)].map(
    ([, session, line]) => `${Number(session)}:${Number(line)}`,
  );
}

/** `1:56 pm on 8 May, 2023`, or whatever `Date` reads; the epoch where there is none. */
function parseDate(value: unknown): Date {
  const text = typeof value === 'string' ? value : '';
  const [, time, date] = /^(.+?) on (.+)$/.exec(text) ?? [];
  const parsed = new Date(time === undefined ? text : `${date} ${time}`);
  return Number.isNaN(parsed.getTime()) ? new Date(0) : parsed;
}
