// The first step of `npm run test:deploy`.
import { buildDeployTools } from './helm.ts';

await buildDeployTools();
