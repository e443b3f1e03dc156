import type { Api, Composer } from 'grammy/web';
import type { Update, UserFromGetMe } from 'grammy/types';
import { BackendUnavailable } from '#src/backend/problem.ts';
import { createLanes } from '#src/lanes.ts';
import type { Logger } from '#src/logger.ts';
import { describeError } from '#src/telegram/describe-error.ts';
import { BotContext } from './bot-context.ts';

/**
 * Takes an update: resolves when Telegram may forget it, with the id of the last update that must
 * be forgotten together with it. Rejects where it must come again.
 */
export type TakeUpdate = (update: Update) => Promise<number>;

/** The updates of one conversation are taken one at a time, in order. */
export function createTakeUpdate(
  api: Api,
  me: UserFromGetMe,
  features: Composer<BotContext>,
  logger: Logger,
): TakeUpdate {
  const lanes = createLanes();
  const middleware = features.middleware();
  return async (update) => {
    const ctx = new BotContext(update, api, me);
    const startedAt = performance.now();
    try {
      await lanes.run(ctx.key, async () => {
        await middleware(ctx, async () => {});
      });
      return (await ctx.stored) ?? update.update_id;
    } catch (error) {
      if (error instanceof BackendUnavailable) throw error;
      // A defect must not stop the bot: Telegram would send this update again for ever.
      logger.error({ update_id: update.update_id, ...describeError(error) }, 'update failed');
      return update.update_id;
    } finally {
      logger.debug(
        {
          update_id: update.update_id,
          chat_id: ctx.key,
          kind: Object.keys(update).find((key) => key !== 'update_id'),
          duration_ms: Math.round(performance.now() - startedAt),
        },
        'update taken',
      );
    }
  };
}

/** What the bot asks Telegram for. */
export const ALLOWED_UPDATES = [
  'message',
  'edited_message',
  'callback_query',
  'my_chat_member',
  'stopped_message_generation',
] as const;
