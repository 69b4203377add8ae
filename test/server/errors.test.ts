// Every error of every RPC has a reason, the same over every protocol. The callers of test/support/clients.ts also require that the
// comment of the RPC or of its service lists the reason. The reference lists all reasons.
import { readFileSync } from 'node:fs';
import type { JsonValue } from '@bufbuild/protobuf';
import { type DescMethodUnary, type DescService, ScalarType } from '@bufbuild/protobuf';
import { beforeAll, describe, expect, test } from 'vitest';
import { Authorization } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { Health } from '../../gen/health/v1/health_pb.ts';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { ERROR_REASONS, type Reason } from '../../src/domain/error-reason.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { type Caller, callers } from '../support/clients.ts';
import { signedIn } from '../support/people.ts';

const SERVICES: DescService[] = [AuthService, AccountService, VerifierService, AdminService, Health, Authorization];
const METHODS = SERVICES.flatMap(({ methods }) =>
  methods.filter((method): method is DescMethodUnary => method.methodKind === 'unary'),
);
const WAYS = [
  'gRPC of Connect, HTTP/2',
  'gRPC-Web, HTTP/1.1',
  'Connect, JSON, HTTP/1.1',
  'Connect, binary, HTTP/2',
  'grpc-js',
];

const app = await testApp({}, { api: true, worker: false });
let ways: Record<string, Caller>;
let userToken: string;
beforeAll(async () => {
  ways = callers(app.url);
  userToken = (await signedIn(ways['Connect, JSON, HTTP/1.1'] as Caller)).accessToken;
});

/** A message whose text fields all have the same value. Only the first has a value that is too large. */
function filled({ input }: DescMethodUnary, text: string): JsonValue {
  const texts = input.fields.filter((field) => field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING);
  const lists = input.fields.filter((field) => field.fieldKind === 'list' && field.scalar === ScalarType.STRING);
  // Only one field of a oneof can be set.
  const isFirst = (field: (typeof texts)[number]) => !field.oneof || field.oneof.fields[0] === field;
  const values: [string, JsonValue][] = [
    ...texts.filter(isFirst).map(({ jsonName }): [string, JsonValue] => [jsonName, text]),
    ...lists.map(({ jsonName }): [string, JsonValue] => [jsonName, [text]]),
  ];
  // One oversized field is enough: Node's client counts all bytes that it could not send.
  return Object.fromEntries(text.length > 64 * 1024 ? values.slice(0, 1) : values);
}

describe.each(WAYS)('over %s', (way) => {
  test.each(METHODS.map((method) => [`${method.parent.typeName}/${method.name}`, method] as const))(
    '%s',
    async (_, method) => {
      const call = ways[way] as Caller;
      let failures = 0;
      for (const bearer of ['', 'nonsense', userToken, SERVICE_KEY]) {
        for (const input of [
          {},
          filled(method, ''),
          filled(method, 'x'),
          filled(method, '\u0000'),
          filled(method, 'x'.repeat(70_000)),
        ]) {
          const {
            code,
            reason,
            fields = [],
            retryAfterSeconds,
            message,
          } = await call(method, input, bearer ? { bearer } : {});
          if (code === 'ok') continue;
          failures += 1;
          const known = ERROR_REASONS[reason as Reason];
          expect(known, `${code} ${reason} ${message}`).toBeDefined();
          expect(code).toBe(known.code);
          expect(code).not.toMatch(/unknown|internal/);
          expect(fields.length > 0, `${reason} ${fields}`).toBe(reason === 'INVALID_ARGUMENT');
          expect(retryAfterSeconds !== undefined).toBe(
            ['RATE_LIMITED', 'OVERLOADED', 'DEPENDENCY_UNAVAILABLE'].includes(reason ?? ''),
          );
        }
      }
      // These two services reject a request with a response, not an error.
      if (method.parent !== Health && method.parent !== Authorization) expect(failures).toBeGreaterThan(0);
    },
    60_000,
  );
});

test('the reference lists every reason with its code', () => {
  const page = readFileSync('docs/reference/errors.md', 'utf8');
  const listed = [...page.matchAll(/^\| \[([A-Z_]+)\]\([^)]*\) \| ([A-Z_]+) \|/gm)].map(
    ([, reason, code]) => `${code} ${reason}`,
  );
  const all = Object.entries(ERROR_REASONS).map(([reason, { code }]) => `${code.toUpperCase()} ${reason}`);
  expect(listed.toSorted()).toEqual(all.toSorted());
});
