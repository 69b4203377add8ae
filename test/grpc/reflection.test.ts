// Reflection as tools use it without proto files: buf curl, and grpcurl where it is installed.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { create, createFileRegistry, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, test } from 'vitest';
import { ServerReflection, type ServerReflectionRequestSchema } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { processEnvironment } from '../../src/config/config.ts';
import { onPath } from '../../src/dev/find-program.ts';
import { testApp } from '../support/app.ts';
import { newPerson } from '../support/people.ts';
import { GO_PROGRAMS } from '../support/program.ts';

const PATH = `${processEnvironment().PATH}:${GO_PROGRAMS}`;
const run = promisify(execFile);
const SERVICES = [
  'latchkey.auth.v1.AuthService',
  'latchkey.auth.v1.AccountService',
  'latchkey.auth.v1.VerifierService',
  'latchkey.auth.v1.AdminService',
  'envoy.service.auth.v3.Authorization',
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
];

const app = await testApp();

type Question = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>['messageRequest']>;

describe.each([
  ['v1', ServerReflection],
  ['v1alpha', ServerReflectionAlpha as unknown as typeof ServerReflection],
])('%s', (_, service) => {
  const clientOf = (url: string) => createClient(service, createGrpcTransport({ baseUrl: url }));

  async function ask(...questions: Question[]) {
    const answers = [];
    async function* requests() {
      for (const messageRequest of questions) yield { host: 'h', messageRequest };
    }
    for await (const answer of clientOf(app.url).serverReflectionInfo(requests())) {
      expect(answer.validHost).toBe('h');
      answers.push(answer.messageResponse);
    }
    return answers;
  }
  const filesOf = (answer: Awaited<ReturnType<typeof ask>>[number] | undefined): FileDescriptorProto[] =>
    answer?.case === 'fileDescriptorResponse'
      ? answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
      : [];

  test('lists every service', async () => {
    const [answer] = await ask({ case: 'listServices', value: '*' });
    expect(answer).toMatchObject({ value: { service: SERVICES.map((name) => ({ name })) } });
  });

  test.each([
    'latchkey.auth.v1.AuthService',
    'latchkey.auth.v1.AuthService.Login',
    'latchkey.auth.v1.Principal',
    'latchkey.auth.v1.Principal.email',
    'latchkey.auth.v1.CheckRoleRequest.subject',
    'latchkey.auth.v1.Reason',
    'latchkey.auth.v1.REASON_TOKEN_STALE',
    'latchkey.auth.v1.access',
    'latchkey.auth.v1.SessionEnded',
    'google.protobuf.Timestamp',
    'grpc.health.v1.HealthCheckResponse.ServingStatus',
    'grpc.health.v1.HealthCheckResponse.SERVING',
  ])('describes %s with all imports of its file', async (symbol) => {
    const [answer] = await ask({ case: 'fileContainingSymbol', value: symbol });
    const files = filesOf(answer);
    expect(files.length).toBeGreaterThan(0);
    // It is complete, or this throws.
    createFileRegistry(create(FileDescriptorSetSchema, { file: files.toReversed() }));
  });

  test('sends an imported file once in a stream, and a requested file each time', async () => {
    const answers = await ask(
      { case: 'fileContainingSymbol', value: 'latchkey.auth.v1.AuthService' },
      { case: 'fileContainingSymbol', value: 'latchkey.auth.v1.VerifierService' },
      { case: 'fileContainingSymbol', value: 'latchkey.auth.v1.VerifierService' },
    );
    const [first, second, third] = answers.map((answer) => filesOf(answer).map(({ name }) => name));
    expect(first).toContain('latchkey/auth/v1/types.proto');
    expect(second).not.toContain('latchkey/auth/v1/types.proto');
    expect(third).toEqual(['latchkey/auth/v1/verifier_service.proto']);
  });

  test('finds files by name, and extensions by number', async () => {
    const [byName, numbers] = await ask(
      { case: 'fileByFilename', value: 'google/protobuf/timestamp.proto' },
      { case: 'allExtensionNumbersOfType', value: 'google.protobuf.MethodOptions' },
    );
    expect(filesOf(byName).map(({ name }) => name)).toEqual(['google/protobuf/timestamp.proto']);
    const value = numbers?.case === 'allExtensionNumbersResponse' ? numbers.value : null;
    expect(value?.extensionNumber).toHaveLength(1);
    const [extension] = await ask({
      case: 'fileContainingExtension',
      value: {
        containingType: 'google.protobuf.MethodOptions',
        extensionNumber: value?.extensionNumber[0] ?? 0,
      } as never,
    });
    expect(filesOf(extension)[0]?.name).toBe('latchkey/auth/v1/options.proto');
  });

  test('answers an unknown name with an error, and the stream continues', async () => {
    const answers = await ask(
      { case: 'fileContainingSymbol', value: 'latchkey.auth.v1.Nothing' },
      { case: 'fileByFilename', value: '../../../etc/passwd' },
      { case: 'fileContainingSymbol', value: '__proto__' },
      { case: 'allExtensionNumbersOfType', value: 'x' },
      { case: 'fileContainingExtension', value: { containingType: 'x', extensionNumber: -1 } as never },
      { case: undefined },
      { case: 'listServices', value: '' },
    );
    const codes = answers.map((answer) => (answer.case === 'errorResponse' ? answer.value.errorCode : 0));
    expect(codes).toEqual([5, 5, 5, 5, 5, 3, 0]);
  });
});

test('buf curl needs no proto files', async () => {
  const { email, password, fullName } = newPerson();
  const buf = (...args: string[]) => run('node_modules/.bin/buf', ['curl', '--http2-prior-knowledge', ...args]);
  const { stdout: methods } = await buf('--list-methods', app.url);
  expect(methods).toContain('latchkey.auth.v1.AuthService/Verify');
  const input = JSON.stringify({ email, password, fullName });
  for (const [protocol, method] of [
    ['grpc', 'Register'],
    ['connect', 'Login'],
    ['grpcweb', 'Login'],
  ]) {
    const data = method === 'Register' ? input : JSON.stringify({ email, password });
    const { stdout } = await buf(
      ...['--protocol', protocol as string, '--reflect-protocol', 'grpc-v1', '--data', data],
      `${app.url}/latchkey.auth.v1.AuthService/${method}`,
    );
    expect(JSON.parse(stdout).user.email).toBe(email);
  }
  const old = await buf('--reflect-protocol', 'grpc-v1alpha', '--data', '{}', `${app.url}/grpc.health.v1.Health/Check`);
  expect(JSON.parse(old.stdout)).toEqual({ status: 'SERVING' });
});

test.skipIf(onPath(['grpcurl'], PATH) === null)('grpcurl lists, describes and calls', async () => {
  const program = onPath(['grpcurl'], PATH)?.path ?? '';
  const target = new URL(app.url).host;
  const { stdout: list } = await run(program, ['-plaintext', target, 'list']);
  expect(list.trim().split('\n').toSorted()).toEqual(SERVICES.toSorted());
  const { stdout: described } = await run(program, [
    '-plaintext',
    target,
    'describe',
    'latchkey.auth.v1.AuthService.Login',
  ]);
  expect(described).toContain(
    'rpc Login ( .latchkey.auth.v1.LoginRequest ) returns ( .latchkey.auth.v1.LoginResponse )',
  );
  const { stdout } = await run(program, ['-plaintext', target, 'grpc.health.v1.Health/Check']);
  expect(JSON.parse(stdout)).toEqual({ status: 'SERVING' });
});
