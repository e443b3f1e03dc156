/** As much of what Directus shares with extensions as this one uses. */
declare module '@directus/extensions-sdk' {
  /** The answer's body: whoever asks knows its shape. */
  // oxlint-disable-next-line typescript/no-explicit-any
  type Answer = Promise<{ data: any }>;

  export interface Api {
    get(url: string, options?: { params?: object; responseType?: 'blob' }): Answer;
    request(options: { method: string; url: string; data?: unknown }): Answer;
  }
  export function useApi(): Api;

  export function useStores(): {
    usePermissionsStore(): { hasPermission(collection: string, action: string): boolean };
    useNotificationsStore(): {
      add(notification: { title: string; text?: string; type?: string }): void;
    };
  };

  interface Layout {
    id: string;
    setup(props: object, context: object): Record<string, unknown>;
  }
  export function useExtensions(): { layouts: { value: Layout[] } };
}

declare module 'vue-i18n' {
  export function useI18n(): { locale: { value: string } };
}

declare module 'vue-router' {
  import type { DefineComponent } from 'vue';

  export const RouterLink: DefineComponent<{ to: string }>;
  export function useRouter(): { push(path: string): Promise<void> };
}
