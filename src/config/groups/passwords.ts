import { availableParallelism } from 'node:os';
import { contextWords, folder, integer } from '../formats.ts';
import { API, type Keys, type Values } from '../key.ts';

export const PASSWORD_KEYS = {
  PASSWORD_MIN_LENGTH: {
    format: integer(8, 15),
    default: '8',
    usedBy: API,
    help: 'The shortest new password, in characters.',
  },
  PASSWORD_CONTEXT_WORDS: {
    format: contextWords,
    default: '',
    usedBy: API,
    help: 'Words, such as the name of your product, that new passwords must not be made of.',
  },
  PASSWORD_BREACH_RANGES: {
    format: folder,
    usedBy: API,
    help: 'Range files of breached passwords (21BD1.txt with lines "<35 hex digits>:<count>") that new passwords are checked against.',
  },
  ARGON2_MEMORY_KIB: {
    format: integer(8, 4 * 1024 * 1024, 'KiB'),
    default: '19456',
    usedBy: API,
    help: 'Memory of a new password hash; other hashes are replaced at the next sign-in.',
  },
  ARGON2_ITERATIONS: { format: integer(1, 100), default: '2', usedBy: API, help: 'Iterations of a new password hash.' },
  ARGON2_PARALLELISM: { format: integer(1, 16), default: '1', usedBy: API, help: 'Lanes of a new password hash.' },
  HASH_CONCURRENCY: {
    format: integer(1, 64),
    default: String(availableParallelism()),
    defaultText: 'number of CPU cores',
    usedBy: API,
    help: 'Passwords that are hashed at the same time.',
  },
  HASH_QUEUE_LENGTH: {
    format: integer(0, 100_000),
    default: '200',
    usedBy: API,
    help: 'Passwords that can wait to be hashed; more are rejected with OVERLOADED.',
  },
  HASH_QUEUE_WAIT_MS: {
    format: integer(1, 60_000, 'milliseconds'),
    default: '5000',
    usedBy: API,
    help: 'Time after which a waiting password is rejected with OVERLOADED.',
  },
} as const satisfies Keys;

export type PasswordSettings = {
  minLength: number;
  contextWords: string[];
  breachFolder: string | null;
  argon2: { memoryKib: number; iterations: number; parallelism: number };
  hashQueue: { concurrency: number; maxWaiting: number; maxWaitMs: number };
};

export function passwordSettings(values: Values<typeof PASSWORD_KEYS>): PasswordSettings {
  return {
    minLength: values.PASSWORD_MIN_LENGTH,
    contextWords: values.PASSWORD_CONTEXT_WORDS,
    breachFolder: values.PASSWORD_BREACH_RANGES ?? null,
    argon2: {
      memoryKib: values.ARGON2_MEMORY_KIB,
      iterations: values.ARGON2_ITERATIONS,
      parallelism: values.ARGON2_PARALLELISM,
    },
    hashQueue: {
      concurrency: values.HASH_CONCURRENCY,
      maxWaiting: values.HASH_QUEUE_LENGTH,
      maxWaitMs: values.HASH_QUEUE_WAIT_MS,
    },
  };
}
