// `node start-contender.ts <kind> [argument...]` starts one of contenders.ts, and prints its port.
import { CONTENDERS } from './contenders.ts';

const [kind = '', ...args] = process.argv.slice(2);
const listen = CONTENDERS[kind];
if (!listen) throw new Error(`one of ${Object.keys(CONTENDERS)}`);
console.log(JSON.stringify({ port: await listen(...args) }));
process.once('SIGTERM', () => process.exit());
