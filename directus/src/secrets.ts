import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** What the panel keeps of its own, made at its first start. */
export interface Secrets {
  key: string;
  /** Signs its sessions. */
  secret: string;
  /** Of its role in PostgreSQL. */
  databasePassword: string;
}

/** The panel's own folder in the data folder. */
export async function preparePanelFolder(dataDir: string): Promise<string> {
  const folder = join(resolve(dataDir), 'panel');
  await mkdir(join(folder, 'files'), { recursive: true, mode: 0o700 });
  return folder;
}

export async function loadSecrets(folder: string): Promise<Secrets> {
  const text = await keep(join(folder, 'secrets.json'), () =>
    JSON.stringify({ key: randomUUID(), secret: random(), databasePassword: random() }),
  );
  const secrets: Secrets = JSON.parse(text);
  return secrets;
}

/** Of the first administrator, where none was configured. Kept readable, for whoever lost it. */
export async function loadAdminPassword(
  folder: string,
): Promise<{ password: string; path: string }> {
  const path = join(folder, 'admin-password');
  return { password: (await keep(path, () => random(12))).trim(), path };
}

/** The file's text; where there is none yet it is made, whole or not at all, for its owner's eyes only. */
async function keep(path: string, make: () => string): Promise<string> {
  const kept = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (kept !== undefined) return kept;
  const text = `${make()}\n`;
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, path);
  return text;
}

function random(bytes = 32): string {
  return randomBytes(bytes).toString('base64url');
}
