import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const ESTABLISHED = '01';

/** Established connections to the port that the process has open, as the kernel reports them. */
export function connectionsOf(pid: number, port: number): number {
  const rows = ['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8').split('\n').slice(1));
  const ofPort = new Set<string>();
  for (const row of rows) {
    const [, local = '', , state, , , , , , inode] = row.trim().split(/\s+/);
    if (state === ESTABLISHED && Number.parseInt(local.split(':')[1] ?? '', 16) === port)
      ofPort.add(`socket:[${inode}]`);
  }
  return descriptorsOf(pid).filter((target) => ofPort.has(target)).length;
}

function descriptorsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${name}`)];
    } catch {
      // It was closed in the meantime.
      return [];
    }
  });
}
