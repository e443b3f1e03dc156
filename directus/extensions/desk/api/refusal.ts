/** An error in the shape of Directus' own, so that it is answered as it is. */
export function refusal(reason: string): Error {
  const error = Object.assign(new Error(reason), {
    code: 'FORBIDDEN',
    status: 403,
    extensions: {},
  });
  error.name = 'DirectusError';
  return error;
}
