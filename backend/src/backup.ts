import { backUp } from './backup/back-up.ts';
import { executablePath, loadConfig } from './config.ts';
import { openDatabase } from './local/open-database.ts';
import { runEntry } from './run-entry.ts';

/** `pnpm backup [file]`: the database into one file, while everything runs on. */
await runEntry(async () => {
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  const file = process.argv[2] ?? `backup-${stamp}.dump`;
  const database = await openDatabase(loadConfig());
  try {
    const { sessions, messages, bytes, digest } = await backUp(
      database.url,
      file,
      executablePath(),
    );
    console.log(
      `${file} (${(bytes / 1e6).toFixed(1)} MB): ${messages} messages, ${sessions} open conversations, memory digest ${digest}.`,
    );
  } finally {
    await database.stop();
  }
});
