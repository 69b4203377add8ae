// The clients that build in seconds, and each other one where it is built already. `npm run test:clients` builds all.
import { checkClients } from './check-clients.ts';

checkClients(({ isSlowToBuild }) => !isSlowToBuild);
