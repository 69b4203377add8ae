// The service config that examples/clients ships, against the contract.
import { readFileSync } from 'node:fs';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';

type MethodConfig = {
  name: { service: string; method: string }[];
  timeout: string;
  retryPolicy?: { retryableStatusCodes: string[]; maxAttempts: number };
};

const { methodConfig } = JSON.parse(readFileSync('examples/clients/service-config.json', 'utf8')) as {
  methodConfig: MethodConfig[];
};
const methods = [AccountService, AdminService, AuthService, VerifierService].flatMap((service) => service.methods);

test.each(methods)('$parent.name.$name', ({ parent, name, methodKind, idempotency }) => {
  const configs = methodConfig.filter((config) =>
    config.name.some(({ service, method }) => service === parent.typeName && method === name),
  );
  // A stream lasts longer than any deadline, and a retry would start it from the begin.
  if (methodKind !== 'unary') return expect(configs).toEqual([]);
  const [config] = configs;
  expect(configs).toHaveLength(1);
  expect(config?.timeout).toMatch(/^(2|10)s$/);
  // Libraries reject more than five attempts (gRFC A6).
  if (idempotency === Idempotency.IDEMPOTENCY_UNKNOWN) expect(config?.retryPolicy).toBeUndefined();
  else expect(config?.retryPolicy).toMatchObject({ retryableStatusCodes: ['UNAVAILABLE'], maxAttempts: 4 });
});

test.each(['Register', 'Login', 'Refresh', 'ChangePassword', 'CreateUser'])('%s is never repeated', (method) => {
  const retried = methodConfig.filter(({ retryPolicy }) => retryPolicy).flatMap(({ name }) => name);
  expect(retried.map((one) => one.method)).not.toContain(method);
});
