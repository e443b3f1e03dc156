/**
 * One message of a prompt, in the chat-completions form. `part` says which layer of the memory it is:
 * it is for the offline model and the logs, and is never sent to a provider.
 */
export interface PromptMessage {
  part: 'instruction' | 'summary' | 'window' | 'recalled' | 'message' | 'to-summarize';
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface CompleteOptions {
  /** Aborting closes the connection to the provider; `complete` then rejects with the signal's reason. */
  signal: AbortSignal;
  /** Where given, the answer is streamed: called with each piece of text in order, never with an empty one. */
  onDelta?: (text: string) => void;
  /** The answer is cut off there (`finishReason` `length`). Without it the model's own limit holds. */
  maxTokens?: number;
}

/** A whole, non-empty answer. Token counts and cost are the provider's own, absent where it gives none. */
export interface Completion {
  text: string;
  /** The model that really answered (a fallback's name, where one did). */
  model: string;
  finishReason: 'stop' | 'length';
  promptTokens?: number;
  completionTokens?: number;
  costUsd?: number;
}

/**
 * A chat model. `complete` rejects with `AppError` `model_failed` or `model_timeout`,
 * or with the signal's reason where the caller aborted.
 */
export interface Model {
  /** The configured model's name, for logs and the start-up banner. */
  readonly name: string;
  complete(prompt: PromptMessage[], options: CompleteOptions): Promise<Completion>;
}

/** A model that holds connections. `close` cuts the calls that still run, so it comes after the drain. */
export interface ClosableModel extends Model {
  close(): Promise<void>;
}
