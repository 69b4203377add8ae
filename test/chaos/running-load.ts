// The load of a row from its start to its end.
import { createLatchkey } from '../../src/client/client.ts';
import { createAdministrator } from './administrator.ts';
import type { Deployment } from './deployment.ts';
import { createLedger, type Ledger } from './ledger.ts';
import type { Endpoint, Load } from './load.ts';
import { runPeople } from './people.ts';
import type { ServiceNode } from './service-node.ts';

export type RunningLoad = {
  load: Load;
  ledger: Ledger;
  /** The age of the local verifier's revocation view. */
  stalenessMs(): number;
  /** Lets clients finish what they began. */
  end(): Promise<void>;
};

/** The share of responses that a lossy connection loses. */
const LOST_ANSWERS = 0.3;
/** After the last new operation. */
const FINISH_MS = 20_000;

export async function startLoad({ servers, serviceKey, postgres }: Deployment): Promise<RunningLoad> {
  const ledger = createLedger();
  const local = createLatchkey({ url: servers.map(({ front }) => `http://127.0.0.1:${front.port}`), serviceKey });
  const beside: Promise<void>[] = [];
  let [isStopping, isOver] = [false, false];
  const load: Load = {
    ledger,
    servers: [endpointOf(servers[0]), endpointOf(servers[1])],
    local,
    isStopping: () => isStopping,
    isOver: () => isOver,
    beside: (work) => void beside.push(work),
  };
  for (const { lossy } of servers) lossy.losesAnswer = () => Math.random() < LOST_ANSWERS;
  const administrator = await createAdministrator(load, postgres);
  await local.ready();
  const people = runPeople(load, administrator);
  people.catch(() => {});
  return {
    load,
    ledger,
    stalenessMs: () => local.stalenessMs(),
    async end() {
      isStopping = true;
      const giveUp = setTimeout(() => {
        isOver = true;
      }, FINISH_MS);
      await people;
      await Promise.all(beside);
      clearTimeout(giveUp);
      isOver = true;
      local.close();
    },
  };
}

function endpointOf({ name, front, lossy }: ServiceNode): Endpoint {
  return { name, port: front.port, lossyPort: lossy.port };
}
