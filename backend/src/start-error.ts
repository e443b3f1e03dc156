/** The start cannot go on. `message` is the one line to print: what is wrong, where, what to do. */
export class StartError extends Error {
  constructor(message: string, options?: { cause: unknown }) {
    super(message, options);
    this.name = 'StartError';
  }
}

/** What an unknown error says, for the middle of such a line. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
