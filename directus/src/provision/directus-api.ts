/** Directus' REST API, as much as provisioning needs. Rejects with what Directus answered. */
export interface DirectusApi {
  get<Result>(path: string): Promise<Result>;
  upload(form: FormData): Promise<void>;
  send(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<void>;
}

export function openDirectusApi(url: string, token: string): DirectusApi {
  async function request(method: string, path: string, body?: unknown): Promise<string> {
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body instanceof FormData ? {} : { 'content-type': 'application/json' }),
      },
      body: body instanceof FormData ? body : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text;
  }
  return {
    get: async (path) => {
      const answer: { data: never } = JSON.parse(await request('GET', path));
      return answer.data;
    },
    upload: async (form) => {
      await request('POST', '/files', form);
    },
    send: async (method, path, body) => {
      await request(method, path, body);
    },
  };
}
