import type { ModelConfig } from '#src/config.ts';
import type { ClosableModel } from './model.ts';
import { createOfflineModel } from './offline-model.ts';
import { createOpenAiModel } from './openai-model.ts';

/** The model that the configuration chose. */
export function createModel(config: ModelConfig): ClosableModel {
  if (config.kind === 'openai') return createOpenAiModel(config);
  return { ...createOfflineModel(), close: async () => {} };
}
