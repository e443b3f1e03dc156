import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';

/** A response, and as much of its body as came. */
export interface WholeResponse {
  statusCode: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** Where the body broke off. */
  failure: Error | undefined;
}

/** Passes a byte order mark over. */
const utf8 = new TextDecoder();

/**
 * Makes a request and reads its response whole, without the stream that undici's own `request` makes
 * of it. Rejects where no response came, and where the signal aborts.
 */
export async function requestWhole(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  signal: AbortSignal,
): Promise<WholeResponse> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<WholeResponse>();
  const chunks: Buffer[] = [];
  let response: Pick<WholeResponse, 'statusCode' | 'headers'> | undefined;
  let request: Dispatcher.DispatchController | undefined;
  const abort = () => {
    reject(signal.reason);
    request?.abort(signal.reason);
  };
  const end = (failure: Error | undefined) => {
    signal.removeEventListener('abort', abort);
    if (response === undefined) reject(failure);
    else resolve({ ...response, text: utf8.decode(Buffer.concat(chunks)), failure });
  };
  signal.addEventListener('abort', abort, { once: true });
  dispatcher.dispatch(options, {
    onRequestStart(controller) {
      request = controller;
      if (signal.aborted) abort();
    },
    onResponseStart(_, statusCode, headers) {
      // An informational one comes before the response.
      if (statusCode >= 200) response = { statusCode, headers };
    },
    onResponseData: (_, chunk) => void chunks.push(chunk),
    onResponseEnd: () => end(undefined),
    onResponseError: (_, error) => end(error),
  });
  return await promise;
}
