import { anyText, port } from '../formats.ts';
import type { Keys } from '../key.ts';

export const DEV_KEYS = {
  LATCHKEY_HOME: {
    format: anyText('the path of a folder'),
    defaultText: '.latchkey/dev',
    usedBy: ['commands', 'dev'],
    help: 'The folder of the data and secrets of "npm start".',
  },
  MAILBOX_PORT: { format: port, default: '8025', usedBy: ['dev'], help: 'The port of the mailbox of "npm start".' },
  LATCHKEY_COMMIT: {
    format: anyText('a commit'),
    defaultText: 'commit of the checkout',
    usedBy: ['commands'],
    help: 'The commit that "latchkey --version" prints. The Dockerfile sets it from a build argument.',
  },
} as const satisfies Keys;
