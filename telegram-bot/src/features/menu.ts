import type { Api } from 'grammy/web';
import { dictionaries } from '#src/texts/texts.ts';
import type { Texts } from '#src/texts/texts.ts';

/** Shows the commands in Telegram's menu, in each language; English where we do not speak the user's. */
export async function showMenu(api: Api): Promise<void> {
  await api.setMyCommands(commandsOf(dictionaries.en));
  await api.setMyCommands(commandsOf(dictionaries.ru), { language_code: 'ru' });
}

function commandsOf({ commands }: Texts) {
  return Object.entries(commands).map(([command, description]) => ({ command, description }));
}
