import type { Api } from '@directus/extensions-sdk';

/** Fetches a file as the signed-in person, and hands it to the browser's downloads. */
export async function saveFile(api: Api, path: string, params: object): Promise<void> {
  const { data }: { data: Blob } = await api.get(path, { params, responseType: 'blob' });
  const [, name = 'export'] = path.split('/export/');
  const extension = data.type.includes('json') ? 'json' : 'csv';
  const link = document.createElement('a');
  link.href = URL.createObjectURL(data);
  link.download = `${name}-${new Date().toISOString().slice(0, 10)}.${extension}`;
  link.click();
  URL.revokeObjectURL(link.href);
}
