// The last step of `npm run generate`: writes proto/latchkey.binpb and the pages of docs/reference.
import { writeDescriptorSet } from '../descriptor-set.ts';
import { writeReference } from './pages.ts';

writeDescriptorSet(process.cwd());
writeReference(process.cwd());
