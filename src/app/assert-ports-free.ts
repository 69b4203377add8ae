// Finds a port that is in use before anything else starts, and names the key that sets it.
import { createServer, type Server } from 'node:net';
import { OperatorError } from '../process/operator-error.ts';
import { listenOnAll } from '../server/transport/listen-on-all.ts';

/** Port 0 selects a free port. */
export type PortSetting = { key: string; host: string; port: number };

/**
 * Listens on all of them for a moment. It does not keep them, because a probe that only connects would take a process
 * that still starts for a ready one.
 * @throws OperatorError for the first port that the process cannot listen on
 */
export async function assertPortsFree(settings: PortSetting[]): Promise<void> {
  const servers: Server[] = [];
  const checked: PortSetting[] = [];
  try {
    for (const setting of settings.filter(({ port }) => port !== 0)) {
      servers.push(...(await listenOn(setting, checked)));
      checked.push(setting);
    }
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

async function listenOn(setting: PortSetting, others: PortSetting[]): Promise<Server[]> {
  try {
    const { servers } = await listenOnAll(setting, () => createServer((socket) => socket.destroy()));
    return servers;
  } catch (error) {
    const same = others.find(({ port }) => port === setting.port);
    if (same) throw new OperatorError(`${same.key} and ${setting.key} are both ${setting.port}: change one of them`);
    throw listenProblem(setting, error);
  }
}

export function listenProblem({ key, host, port }: PortSetting, error: unknown): unknown {
  const sentence = {
    EADDRINUSE: `port ${port} of ${host} is in use: stop the program that listens there, or set ${key} to a free port`,
    EADDRNOTAVAIL: `this machine does not have the address ${host}, on which ${key} ${port} should listen`,
    EACCES: `this user may not listen on port ${port}: set ${key} to 1024 or higher`,
  }[String((error as NodeJS.ErrnoException).code)];
  return sentence === undefined ? error : new OperatorError(sentence, { cause: error });
}
