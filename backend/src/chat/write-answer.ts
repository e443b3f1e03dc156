import type { Completion, PromptMessage } from '#src/clients/model.ts';
import { AppError } from '#src/errors.ts';
import type { Chat } from './chat.ts';
import { stoppedByUser } from './running-turn.ts';
import type { RunningTurn } from './running-turn.ts';

export type Answer = Omit<Completion, 'finishReason'> & {
  finishReason: Completion['finishReason'] | 'cancelled';
};

/** Lets the model write. A user who stops it keeps what was written until then. */
export async function writeAnswer(
  chat: Chat,
  turn: RunningTurn,
  prompt: PromptMessage[],
): Promise<Answer> {
  const streaming = [...turn.callers].some((caller) => caller.delta !== undefined);
  const onDelta = (text: string) => {
    turn.written += text;
    for (const caller of turn.callers) caller.delta?.(text);
  };
  turn.written = '';
  try {
    turn.stop.signal.throwIfAborted();
    const completion = await chat.model.complete(prompt, {
      signal: turn.stop.signal,
      onDelta: streaming ? onDelta : undefined,
      maxTokens: chat.settings.maxReplyTokens,
    });
    const text = storable(completion.text);
    if (text.trim() === '') throw new AppError('model_failed', 'The model gave an empty answer.');
    return { ...completion, text };
  } catch (error) {
    const written = storable(turn.written);
    if (turn.stop.signal.reason === stoppedByUser && written.trim() !== '') {
      return { text: written, model: chat.model.name, finishReason: 'cancelled' };
    }
    throw error;
  }
}

/** PostgreSQL holds neither NUL nor half a surrogate pair; models sometimes write both. */
function storable(text: string): string {
  return text.replaceAll('\0', '').toWellFormed();
}
