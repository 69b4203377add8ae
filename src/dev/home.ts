import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OperatorError } from '../process/operator-error.ts';

export type Home = {
  folder: string;
  /** Returns the secret in the file of this name, which it creates once. */
  secret(name: string, make: () => string): string;
  /** Writes a file that only this user can read. */
  write(name: string, text: string): void;
  release(): void;
};

/** @throws OperatorError when another running process uses the folder */
export function claimHome(folder: string): Home {
  mkdirSync(folder, { recursive: true });
  const claim = join(folder, 'pid');
  const holder = existsSync(claim) ? Number(readFileSync(claim, 'utf8')) : 0;
  if (holder > 0 && holder !== process.pid && isAlive(holder)) {
    throw new OperatorError(
      `process ${holder} is using ${folder}: stop the other "npm start", or set LATCHKEY_HOME to another folder`,
    );
  }
  writeFileSync(claim, String(process.pid));
  return {
    folder,
    secret(name, make) {
      const file = join(folder, name);
      if (!existsSync(file)) writeFileSync(file, `${make()}\n`, { mode: 0o600 });
      return readFileSync(file, 'utf8').trim();
    },
    write: (name, text) => writeFileSync(join(folder, name), `${text}\n`, { mode: 0o600 }),
    release: () => rmSync(claim, { force: true }),
  };
}

export function randomKey(): string {
  return randomBytes(32).toString('base64');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
