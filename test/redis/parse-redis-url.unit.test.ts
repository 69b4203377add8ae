import { expect, test } from 'vitest';
import { parseRedisUrl } from '../../src/redis/parse-redis-url.ts';

const plain = {
  kind: 'server',
  isEncrypted: false,
  hosts: [{ host: 'cache', port: 6379 }],
  username: '',
  password: '',
  db: 0,
  masterName: '',
  sentinelUsername: '',
  sentinelPassword: '',
};

test('one server', () => {
  expect(parseRedisUrl('redis://cache')).toEqual(plain);
  expect(parseRedisUrl('redis://cache/')).toEqual(plain);
  expect(parseRedisUrl('rediss://ada:p%2Fq%40r@[2001:db8::1]:7000/12')).toEqual({
    ...plain,
    ...{ isEncrypted: true, hosts: [{ host: '2001:db8::1', port: 7000 }], username: 'ada', password: 'p/q@r', db: 12 },
  });
  expect(parseRedisUrl('redis://:word@cache')).toEqual({ ...plain, password: 'word' });
});

test('the primary of Sentinels', () => {
  const sentinel = { ...plain, kind: 'sentinel', masterName: 'main' };
  const hosts = [
    { host: 'a', port: 26_379 },
    { host: 'b.internal', port: 1 },
  ];
  expect(parseRedisUrl('redis+sentinel://a,b.internal:1/main')).toEqual({ ...sentinel, hosts });
  expect(
    parseRedisUrl('rediss+sentinel://u:p@a,b.internal:1/main/3?sentinel_username=s&sentinel_password=x%26+y'),
  ).toEqual({
    ...sentinel,
    ...{ hosts, isEncrypted: true, username: 'u', password: 'p', db: 3 },
    ...{ sentinelUsername: 's', sentinelPassword: 'x&+y' },
  });
});

test('a cluster', () => {
  const hosts = ['a', 'b', 'c'].map((host) => ({ host, port: 7000 }));
  expect(parseRedisUrl('rediss+cluster://:p@a:7000,b:7000,c:7000')).toEqual({
    ...plain,
    ...{ kind: 'cluster', isEncrypted: true, hosts, password: 'p' },
  });
});

test.each([
  'http://cache',
  'REDIS://cache',
  'redis:cache',
  'redis://',
  'redis:///0?host=cache',
  'redis://cache?family=6',
  'redis://cache:0',
  'redis://cache:99999',
  'redis://cache/x',
  'redis://cache/1/2',
  'redis://a,b',
  'redis://user@cache',
  'redis://a:b:c@cache',
  'redis://:50%@cache',
  'redis://:p/q@cache',
  'redis://:p#q@cache',
  'redis+sentinel://a',
  'redis+sentinel://a,/main',
  'redis+sentinel://a/main?password=x',
  'redis+sentinel://a/main?sentinel_username=x',
  'redis+cluster://a/1',
  'redis+cluster://a?sentinel_password=x',
  'redis+other://a',
])('%s is rejected', (text) => {
  expect(parseRedisUrl(text)).toBeNull();
});
