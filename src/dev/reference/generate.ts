// The last step of `npm run generate`: writes the pages of docs/reference.
import { writeReference } from './pages.ts';

writeReference(process.cwd());
