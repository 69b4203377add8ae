import { expect, test } from 'vitest';
import { hasUnencodedLogin } from '../../src/config/unencoded-login.ts';

test.each([
  'smtp://mailer:a/b@mail.example:587',
  'smtp://mailer:a#b@mail.example:587',
  'smtp://mailer:a?b@mail.example:587',
  'smtp://mailer:a@b@mail.example:587',
  'smtp://mailer:a%b@mail.example:587',
  'smtps://no-reply@product.example:secret@mail.example',
  'smtp://mailer:123/45@mail.example',
  'smtp://mailer:p@ss/word@mail.example',
  'smtp://mailer:a?b=c@mail.example',
  'postgres://latchkey:a/b@one:5432,two:5432/db?sslmode=verify-full',
  'postgresql://latchkey:a#b@one:5432,two:5432/db',
  'redis+sentinel://:a/b@one:26379,two:26379/main/0',
  'redis+cluster://user:a%zz@one:7000,two:7000',
])('finds the login that is not encoded in %s', (url) => {
  expect(hasUnencodedLogin(url)).toBe(true);
});

test.each([
  'smtp://mail.example',
  'smtp://mailer:a%2Fb%23c%3Fd%40e%25f@mail.example:587',
  'smtps://no-reply%40product.example:secret@mail.example?tls.servername=x',
  "smtp://mailer:a!$&'()*+,;=:b~@mail.example",
  'postgres://latchkey:secret@one:5432,two:5432/db?target_session_attrs=read-write&sslmode=verify-full',
  'postgres://latchkey:secret@[2001:db8::1]:5432,[2001:db8::2]/db',
  'postgres://latchkey:secret@db/latchkey?options=-c%20x&user=a@b',
  'postgres:///latchkey?host=/var/run/postgresql&user=a@b',
  'redis://:secret@cache:6379/0',
  'redis+sentinel://user:secret@one:26379,two:26379/main/0?x=a/b',
  'redis+cluster://one:7000,two:7000',
  'no URL at all',
  '',
])('accepts %s', (url) => {
  expect(hasUnencodedLogin(url)).toBe(false);
});
