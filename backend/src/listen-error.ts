import { StartError } from './start-error.ts';

/** The line to print where a server cannot listen, or undefined where the error is about something else. */
export function explainListenError(
  error: unknown,
  { host, port }: { host: string; port: number },
  variable = 'PORT',
): StartError | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  if (error.syscall !== 'listen' && error.syscall !== 'getaddrinfo') return undefined;
  const problem = problems.get(String(error.code)) ?? otherProblem;
  return new StartError(problem(host, port, error.message, variable), { cause: error });
}

type Problem = (host: string, port: number, reason: string, variable: string) => string;

const notOurs: Problem = (host) =>
  `HOST: ${host} is not an address of this machine; set HOST to 127.0.0.1, or to 0.0.0.0 for all its addresses`;

const otherProblem: Problem = (host, port, reason, variable) =>
  `HOST: cannot listen on ${host}, port ${port} (${reason}); set HOST and ${variable} to others`;

const problems = new Map<string, Problem>([
  [
    'EADDRINUSE',
    (host, port, _reason, variable) =>
      `${variable}: ${port} is in use on ${host}; set ${variable} to another or stop what listens there`,
  ],
  [
    'EACCES',
    (_host, port, _reason, variable) =>
      `${variable}: ${port} may not be used by this user; set ${variable} to one above 1023`,
  ],
  ['EADDRNOTAVAIL', notOurs],
  ['ENOTFOUND', notOurs],
  ['EAI_AGAIN', notOurs],
]);
