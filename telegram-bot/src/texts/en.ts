/** What the bot says. Every dictionary has these keys. */
export const en = {
  greeting:
    'Hello! Write to me, and I will answer. I remember what we talk about.\n\nThis is a new conversation; /help shows what I can do.',
  groupGreeting: 'Hello! I answer here when you mention me, reply to me, or give me a command.',
  help: [
    'Write to me, and I answer. Several messages are answered in order.',
    '',
    '/start – begin a new conversation',
    '/stop – stop the answer that is being written',
    '/memory – what I remember of this chat',
    '/forget – erase this chat from my memory',
    '/export – everything I keep of this chat, as a file',
    '',
    'In groups I answer when you mention me, reply to me, or add my name to a command. Each topic is a conversation of its own.',
  ].join('\n'),
  commands: {
    start: 'Begin a new conversation',
    help: 'What I can do',
    stop: 'Stop the answer',
    memory: 'What I remember of this chat',
    forget: 'Erase this chat',
    export: 'This chat as a file',
  },
  unknownCommand: 'I do not know this command. /help shows those I do.',
  stop: 'Stop',
  stopped: 'Stopped.',
  nothingToStop: 'Nothing is being written.',
  memory: {
    title: 'What I remember of this chat',
    summary: (version: number) => `Summary (version ${version})`,
    noSummary: 'There is no summary yet.',
    recent: 'Latest messages',
    nothing: 'I remember nothing of this chat yet.',
    user: 'You',
    assistant: 'I',
  },
  forget: {
    ask: 'Erase everything I keep of this chat? This cannot be undone.',
    yes: 'Erase everything',
    no: 'Keep it',
    done: 'Everything I kept of this chat is erased.',
    kept: 'Nothing was erased.',
    notYours: 'Only the one who asked can answer this.',
  },
  exportCaption: 'Everything I keep of this chat.',
  nothingKept: 'I keep nothing of this chat.',
  adminsOnly: 'In a group only its administrators can do this.',
  onlyText: 'I can only read text. Please write it to me.',
  onlyFirstVersion: 'I do not see edits. Please send the corrected message as a new one.',
  emptyMention: 'Yes? Write your question after my name.',
  uncertain: 'My last answer may not have reached you.',
  sendAgain: 'Send it again',
  sentAgain: 'It is on its way.',
  tooOld: 'This button is too old.',
  problems: {
    access: 'I do not know you yet, so I may not answer.',
    pairing: (code: string) =>
      `I do not know you yet. Give this code to whoever runs me, and then write again: ${code}`,
    rate: (seconds: number | undefined) =>
      seconds === undefined
        ? 'That was quick! Please wait a little and write again.'
        : `That was quick! Please write again in ${seconds} s.`,
    budget: 'Your share for today is used up. Please write again tomorrow.',
    model: 'I could not find an answer just now. Please send your message again.',
    other: 'Something went wrong. Please send your message again.',
  },
};

export type Texts = typeof en;
