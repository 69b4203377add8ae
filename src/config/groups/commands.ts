import { operatorName } from '../formats.ts';
import type { Keys } from '../key.ts';

export const COMMAND_KEYS = {
  OPERATOR: {
    format: operatorName,
    defaultText: "the system's login name",
    usedBy: ['commands'],
    help: 'The name of the person at the command line, for the audit trail. The option --as overrides it. Containers need one of the two, because their login names no person.',
  },
} as const satisfies Keys;
