// The limits of one process that the documentation promises, in their own digits.
import type { UnaryRequest } from '@connectrpc/connect';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { createConcurrencyLimit } from '../../src/server/calls/concurrency-limit.ts';
import { messageBounds } from '../../src/server/calls/message-bounds.ts';
import { limitTime } from '../../src/server/rpc/interceptors.ts';

describe('a message', () => {
  test('has at most 64 KiB and 1,000 fields', () => {
    for (const method of AuthService.methods) {
      expect(messageBounds(method), method.name).toEqual({ maxBytes: 65_536, maxFields: 1_000 });
    }
  });

  test('has at most 1 MiB and 5,000 fields in VerifierService', () => {
    for (const method of VerifierService.methods) {
      expect(messageBounds(method), method.name).toEqual({ maxBytes: 1_048_576, maxFields: 5_000 });
    }
  });
});

describe('calls in flight', () => {
  const OVERLOADED = expect.objectContaining({ reason: 'OVERLOADED', retryAfterMs: 1_000 });

  test('are at most 1,000', () => {
    const { acquire } = createConcurrencyLimit();
    const releases = Array.from({ length: 1_000 }, (_, n) => acquire(`10.0.${n % 250}.1`));
    expect(() => acquire('10.1.0.1')).toThrow(OVERLOADED);
    releases[0]?.();
    expect(acquire('10.1.0.1')).toBeTypeOf('function');
  });

  test.each([
    ['a /24', (n: number) => `192.0.2.${n % 250}`, '192.0.3.1'],
    ['a /48', (n: number) => `2001:db8:0:${n.toString(16)}::1`, '2001:db8:1::1'],
  ])('are at most 500 from one network, %s', (_, addressOf, elsewhere) => {
    const { acquire } = createConcurrencyLimit();
    const releases = Array.from({ length: 500 }, (_, n) => acquire(addressOf(n)));
    expect(() => acquire(addressOf(500))).toThrow(OVERLOADED);
    expect(acquire(elsewhere)).toBeTypeOf('function');
    releases[0]?.();
    expect(acquire(addressOf(500))).toBeTypeOf('function');
  });

  test('release their slot once, even when release is called again', () => {
    const { acquire } = createConcurrencyLimit();
    const releases = Array.from({ length: 500 }, () => acquire('192.0.2.1'));
    for (let n = 0; n < 3; n += 1) releases[0]?.();
    acquire('192.0.2.1');
    expect(() => acquire('192.0.2.1')).toThrow(OVERLOADED);
  });
});

test('a unary call takes at most 10 seconds', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const request = { stream: false, signal: new AbortController().signal } as UnaryRequest;
  const outcome = vi.fn();
  limitTime(() => new Promise(() => {}))(request).catch(outcome);
  await vi.advanceTimersByTimeAsync(9_999);
  expect(outcome).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(outcome).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ name: 'TimeoutError' }));
});
