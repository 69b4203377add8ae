import { expect, test } from 'vitest';
import { createLogger } from '../../src/process/log.ts';

function logged(fields: Record<string, unknown>): Record<string, unknown> {
  let line = '';
  const write = (text: string) => {
    line = text;
  };
  createLogger('info', { write }).info(fields, 'message');
  return JSON.parse(line);
}

test('fields outside the list are left out, under any name', () => {
  const line = logged({ method: 'm', password: 'p', accessToken: 't', email: 'e', headers: { authorization: 'x' } });
  expect(line).toMatchObject({ level: 'info', method: 'm', msg: 'message' });
  expect(Object.keys(line).toSorted()).toEqual(['level', 'method', 'msg', 'time']);
});

test('errors are logged with their type and place, without the values that drivers put into them', () => {
  const failure = Object.assign(new Error('duplicate key (email)=(a@b.example)'), {
    severity: 'ERROR',
    code: '23505',
    detail: 'a@b.example',
  });
  expect(logged({ err: failure }).err).toMatchObject({ type: 'Error', code: '23505', condition: 'unique_violation' });
  expect(JSON.stringify(logged({ err: failure }))).not.toContain('a@b.example');
  const url = new Error('cannot connect to postgres://user:hunter2@db/x', { cause: new Error('redis://:hunter2@r') });
  expect(logged({ err: url }).err).toMatchObject({ message: 'cannot connect to postgres://***@db/x' });
  expect(JSON.stringify(logged({ err: url }))).not.toContain('hunter2');
  const sentinel = new Error('no answer from redis+sentinel://:hunter2@a,b/main?sentinel_password=hunter2&x');
  expect(JSON.stringify(logged({ err: sentinel }))).not.toContain('hunter2');
  const rejected = Object.assign(new Error('550 <a@b.example>'), { response: '550 <a@b.example>', responseCode: 550 });
  expect(JSON.stringify(logged({ err: new Error('x', { cause: rejected }) }))).not.toContain('a@b.example');
});
