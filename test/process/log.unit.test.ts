import { expect, test } from 'vitest';
import { createLogger } from '../../src/process/log.ts';
import { addTimeForLog, noteForLog, withLogContext, withLogSpan } from '../../src/process/log-context.ts';

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

test('a field outside the list is reported to tests', () => {
  const unknown: string[] = [];
  const log = createLogger('info', { write: () => {} }, (name) => void unknown.push(name));
  log.info({ method: 'm', ...{ password: 'p' } }, 'message');
  log.info('message');
  expect(unknown).toEqual(['password']);
});

test('hostile text cannot control a terminal, forge a line or fill the disk', () => {
  const hostile = `a\u001b[2J\u009b31m\r\n{"level":"fatal"}\u202e\u2028${'x'.repeat(10_000)}`;
  const line = JSON.stringify(logged({ method: hostile, problems: [hostile], err: new Error(hostile) }));
  expect(line).not.toMatch(/\p{C}|\p{Zl}/u);
  expect(line).not.toMatch(/\\u00|\\r|\\n(?!\s+at )/);
  expect(line.length).toBeLessThan(6_000);
  const places = new Error('x\n    at secret (hunter2)');
  expect(JSON.stringify((logged({ err: places }).err as { stack: string }).stack)).not.toContain('hunter2');
});

test('a message hides every secret of a URL', () => {
  for (const url of [
    'postgres://user:hunter2@db/x?password=hunter2&sslmode=require',
    'redis://:hunter/hunter2@r:1',
    'smtp://user:hunt@hunter2@mail?x=1&token=hunter2',
    'https://api/?KEY=hunter2',
  ]) {
    expect(JSON.stringify(logged({ err: new Error(`cannot connect to ${url}`) })), url).not.toContain('hunter2');
  }
});

test('the lines of a call have its fields, and what its steps note', async () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('info', { write: (line) => void lines.push(JSON.parse(line)) });
  const noted = { request_id: 'one' };
  await Promise.all([
    withLogContext(noted, async () => {
      await Promise.resolve();
      noteForLog({ user_id: 'u1' });
      withLogSpan({ span_id: 's1' }, () => {
        noteForLog({ session_id: 's' });
        addTimeForLog('hash_wait_ms', 1.234);
        addTimeForLog('hash_wait_ms', 1);
        log.info('inner');
      });
      log.info({ user_id: 'u2' }, 'outer');
    }),
    withLogContext({ request_id: 'two' }, async () => log.info('other')),
  ]);
  log.info('outside');
  noteForLog({ user_id: 'lost' });
  const of = (msg: string) => lines.find((line) => line.msg === msg);
  expect(of('inner')).toMatchObject({
    request_id: 'one',
    user_id: 'u1',
    session_id: 's',
    span_id: 's1',
    hash_wait_ms: 2.23,
  });
  expect(of('outer')).toMatchObject({ request_id: 'one', user_id: 'u2', session_id: 's' });
  expect(of('outer')).not.toHaveProperty('span_id');
  expect(of('other')).toMatchObject({ request_id: 'two' });
  expect(of('other')).not.toHaveProperty('user_id');
  expect(Object.keys(of('outside') ?? {}).toSorted()).toEqual(['level', 'msg', 'time']);
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
