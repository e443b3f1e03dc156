import type { ApiClient } from './api.ts';

export interface Scrape {
  text: string;
  /** Of one series, named as it stands in the text; undefined where there is none. */
  value: (series: string) => number | undefined;
}

export async function readMetrics(
  api: Pick<ApiClient, 'get'>,
  headers: Record<string, string> = {},
): Promise<Scrape> {
  const { status, body } = await api.get<unknown>('/metrics', { headers });
  if (status !== 200) throw new Error(`/metrics answered ${status}`);
  const text = String(body);
  const values = new Map(seriesOf(text).map(({ series, value }) => [series, value]));
  return { text, value: (series) => values.get(series) };
}

/** Every sample of Prometheus's text format, with the names of its labels. */
export function seriesOf(text: string): { series: string; labels: string[]; value: number }[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const end = line.lastIndexOf(' ');
      const series = line.slice(0, end);
      const labels = [...series.matchAll(/[{,](\w+)="/g)].map(([, name = '']) => name);
      return { series, labels, value: Number(line.slice(end + 1)) };
    });
}
