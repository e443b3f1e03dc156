import type { Connection } from '#src/db/connect.ts';
import { createTurnStatements } from '#src/db/turn-statements.ts';
import type { TurnLimits } from '#src/db/turn-statements.ts';
import { assembleContext } from '#src/memory/assemble-context.ts';
import { packContextLog } from '#src/memory/context-log.ts';
import { countText, countTokens } from '#src/memory/count-tokens.ts';
import type { Turn } from './load-process.ts';
import { sentence } from './sentences.ts';

/** The API's own two statements without the API: what of a turn is the database's. */
export function createStatementsTurn({ pool, close }: Connection, recall: boolean): Turn {
  const limits: TurnLimits = {
    shortHistoryLimit: 8,
    contextTokenBudget: 16_000,
    access: 'open',
    ratePerMinute: 0,
    chatRatePerMinute: 0,
    dailyTokenBudget: 0,
    fixedTokens: 0,
    recall: recall ? { scope: 'chat', limit: 8 } : undefined,
  };
  const statements = createTurnStatements(pool, limits);
  const systemPrompt = countText('You are a helpful assistant.');
  return {
    async make(chatId, n) {
      const message = countText(sentence(n));
      const opened = await statements.open({
        chatId,
        userId: chatId,
        channel: 'bench',
        clientMessageId: `m-${n}`,
        requestHash: Buffer.alloc(32, n),
        text: message.content,
        tokens: message.tokens,
        listed: false,
      });
      if (opened.outcome !== 'begun') throw new Error(`the turn is ${opened.outcome}`);
      const { memory } = opened;
      const { log } = assembleContext({
        systemPrompt,
        memory,
        message,
        recalled: memory.recalled,
        tokenBudget: limits.contextTokenBudget,
      });
      const reply = sentence(1_000_000 + (n % 2_000));
      await statements.finish({
        turnId: opened.turn_id,
        sessionId: opened.session_id,
        attempt: opened.attempt,
        reply,
        tokens: countTokens(reply),
        offerAfterSeconds: 60,
        model: 'bench',
        finishReason: 'stop',
        promptTokens: 300,
        completionTokens: 20,
        costUsd: undefined,
        latencyMs: 1,
        context: packContextLog(log),
        spentTokens: 320,
      });
    },
    close,
  };
}
