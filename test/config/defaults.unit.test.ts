// The defaults that the documentation promises, in their own digits.
import { expect, test } from 'vitest';
import { CONFIGURATION } from '../../src/config/configuration.ts';

test.each([
  ['ACCESS_TOKEN_TTL_SECONDS', '900'],
  ['SERVICE_TOKEN_TTL_SECONDS', '300'],
  ['SESSION_IDLE_SECONDS', '604800'],
  ['SESSION_MAX_SECONDS', '7776000'],
  ['MAX_SESSIONS_PER_USER', '100'],
  ['RESET_TTL_SECONDS', '3600'],
  ['VERIFICATION_TTL_SECONDS', '3600'],
  ['REAUTHENTICATION_SECONDS', '600'],
  ['API_KEY_MAX_DAYS', '366'],
  ['PASSWORD_MIN_LENGTH', '8'],
  ['ARGON2_MEMORY_KIB', '19456'],
  ['ARGON2_ITERATIONS', '2'],
  ['VERIFY_REVALIDATE_SECONDS', '1'],
  ['REVOCATION_MAX_AGE_MS', '5000'],
  ['KEY_ROTATION_SECONDS', '2592000'],
  ['HASH_QUEUE_LENGTH', '200'],
  ['HASH_QUEUE_WAIT_MS', '5000'],
  ['MAIL_RETRY_FOR_SECONDS', '259200'],
  ['REVOCATION_POLL_MS', '500'],
  ['KEEPALIVE_SECONDS', '30'],
  ['KEEPALIVE_TIMEOUT_SECONDS', '20'],
  ['MAX_CONNECTIONS_PER_PEER', '1000'],
  ['SHUTDOWN_GRACE_SECONDS', '10'],
])('%s is %s by default', (name, value) => {
  expect(CONFIGURATION.find((key) => key.name === name)?.default).toBe(value);
});
