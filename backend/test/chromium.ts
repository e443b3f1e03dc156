import { execFile } from 'node:child_process';
import { access, constants, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { type Browser, chromium } from 'playwright-core';

const run = promisify(execFile);

const launchArguments = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A path to a Chromium, installed from Debian's packages where that is possible. Says why when there is none. */
export async function findChromium(): Promise<string | undefined> {
  const configured = process.env.CHROMIUM_PATH;
  if (configured !== undefined) {
    if (await isExecutable(configured)) return configured;
    return giveUp(`CHROMIUM_PATH is ${configured}, which is no executable file`);
  }
  const installed = await firstExecutable(candidatePaths());
  if (installed !== undefined) return installed;

  const obstacle = await reasonNotToInstall();
  if (obstacle !== undefined) return giveUp(`no Chromium was found and ${obstacle}`);
  try {
    await installWithApt();
  } catch (error) {
    return giveUp(
      `apt-get could not install it: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  return (await firstExecutable(candidatePaths())) ?? giveUp('apt-get installed no executable');
}

/** Each launch gets a fresh profile in the temporary directory, which `close()` removes. */
export function launchBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: launchArguments });
}

function candidatePaths(): string[] {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return [
    '/usr/bin/chromium',
    ...folders.flatMap((folder) => names.map((name) => join(folder, name))),
  ];
}

async function firstExecutable(paths: string[]): Promise<string | undefined> {
  for (const path of paths) if (await isExecutable(path)) return path;
  return undefined;
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function reasonNotToInstall(): Promise<string | undefined> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  // Ubuntu's package of that name only points to a snap, which needs a running snapd.
  if (!/^ID=debian$/m.test(release)) return 'only on Debian does it come as a package';
  if (process.getuid?.() !== 0) return 'only root may install the package "chromium"';
  return undefined;
}

async function installWithApt(): Promise<void> {
  console.warn('Installing Debian\'s package "chromium" for the browser tests (about a minute) …');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = { env, maxBuffer: 64 * 1024 * 1024 };
  // Stale package lists may still do, so only the install decides.
  await run('apt-get', ['update', '-qq'], options).catch(() => undefined);
  await run(
    'apt-get',
    [
      'install',
      '-y',
      '-qq',
      '--no-install-recommends',
      '-o',
      'DPkg::Lock::Timeout=300',
      'chromium',
    ],
    options,
  );
}

function giveUp(reason: string): undefined {
  console.warn(`\n*** BROWSER TESTS CANNOT RUN: ${reason}.`);
  console.warn('*** Install Chromium or set CHROMIUM_PATH to one.\n');
  return undefined;
}
