/**
 * Everything that is written carries a mark, so that it is known again wherever it turns up:
 * `{c:7}` the chat c's seventh message, `{c:7r31}` a reply to it, written by the model's 31st call,
 * `{c:edit5}` what an operator's fifth act added, `{c:op5}` the fifth that an operator said,
 * `{c:v31}` the summary that the 31st call wrote.
 */
const anyMark = /\{([\w-]+):(?:\d+(?:r\d+)?|op\d+|edit\d+|v\d+)\}/g;

export function messageMark(chat: string, index: number): string {
  return `{${chat}:${index}}`;
}

export function replyMark(asked: string, call: number): string {
  return asked.replace('}', `r${call}}`);
}

export function operatorMark(chat: string, index: number): string {
  return `{${chat}:op${index}}`;
}

export function editMark(chat: string, act: number): string {
  return `{${chat}:edit${act}}`;
}

export function versionMark(chat: string, call: number): string {
  return `{${chat}:v${call}}`;
}

export function marksIn(text: string): string[] {
  return text.match(anyMark) ?? [];
}

/** Of messages only, whoever wrote them. */
export function saidIn(text: string): string[] {
  return marksIn(text).filter((mark) => /:(\d+(r\d+)?|op\d+)\}$/.test(mark));
}

export function isReply(mark: string): boolean {
  return /:\d+r\d+\}$/.test(mark);
}

/** The message that a reply answers; of anything else its own mark. */
export function askedBy(mark: string): string {
  return mark.replace(/r\d+\}$/, '}');
}

export function chatOf(mark: string): string {
  return mark.slice(1, mark.lastIndexOf(':'));
}

/** The call that wrote a reply or a summary. */
export function callOf(mark: string): number {
  return Number(/[rv](\d+)\}$/.exec(mark)?.[1] ?? -1);
}
