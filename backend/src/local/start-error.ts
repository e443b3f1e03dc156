/** The start cannot go on. `message` is the one line to print: what is wrong, where, what to do. */
export class StartError extends Error {
  constructor(message: string, options?: { cause: unknown }) {
    super(message, options);
    this.name = 'StartError';
  }
}
