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
} as const satisfies Keys;
