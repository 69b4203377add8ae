// `npm run test:clients`: builds every client for which this machine has the toolchain, and tests it.
import { checkClients } from './check-clients.ts';

checkClients(() => true);
