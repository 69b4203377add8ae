// `npm run conformance` writes the table of verdicts anew.
import { writeFileSync } from 'node:fs';
import { allCases, toJsonLines } from './cases.ts';

writeFileSync('conformance/verdicts.jsonl', toJsonLines(allCases()));
