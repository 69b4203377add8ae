import { expect, test } from 'vitest';
import { createSessionUsers } from '../../src/limits/session-users.ts';

test('the most recently used sessions are remembered, up to the maximum', () => {
  const users = createSessionUsers(3);
  for (const session of ['a', 'b', 'c']) users.remember(session, `user of ${session}`);
  users.remember('a', 'user of a');
  users.remember('d', 'user of d');
  expect(['a', 'b', 'c', 'd'].map(users.userOf)).toEqual(['user of a', null, 'user of c', 'user of d']);
});
