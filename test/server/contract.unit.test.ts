// The published contract (proto/) against the code: reasons, codes, comments and options. Needs no server.
import { globSync, readFileSync } from 'node:fs';
import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { codeFromString } from '@connectrpc/connect/protocol-connect';
import { describe, expect, test } from 'vitest';
import { ReasonSchema } from '../../gen/latchkey/auth/v1/errors_pb.ts';
import { PACKAGE, readContract } from '../../src/dev/reference/contract.ts';
import { AUDIT_EVENT_TYPES } from '../../src/domain/audit-event-types.ts';
import { ERROR_REASONS } from '../../src/domain/error-reason.ts';

const contract = readContract('.');
const documented = contract.files.flatMap(({ services }) => services).flatMap(({ methods }) => methods);

const read = (file: string) => readFileSync(`proto/latchkey/auth/v1/${file}.proto`, 'utf8');

describe('the table of error reasons', () => {
  const names = ReasonSchema.values.map(({ localName }) => localName).filter((name) => name !== 'UNSPECIFIED');

  test('has a row for each reason of errors.proto and no other', () => {
    expect(Object.keys(ERROR_REASONS).toSorted()).toEqual(names.toSorted());
  });

  test.each(Object.entries(ERROR_REASONS))('%s has the gRPC code that errors.proto documents', (name, { code }) => {
    const comment = new RegExp(`((?:  //.*\\n)+)  REASON_${name} =`).exec(read('errors'))?.[1] ?? '';
    expect(comment.trimStart()).toMatch(new RegExp(`^// ${code.toUpperCase()}\\. `));
  });

  test('has only codes that Connect can send, never UNKNOWN, and INTERNAL once', () => {
    const codes = Object.values(ERROR_REASONS).map(({ code }) => codeFromString(code));
    expect(codes).not.toContain(undefined);
    expect(codes).not.toContain(Code.Unknown);
    expect(codes.filter((code) => code === Code.Internal)).toHaveLength(1);
  });
});

describe('audit event types', () => {
  const sources = globSync('src/**/*.{ts,sql}')
    .filter((file) => !file.endsWith('audit-event-types.ts'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');

  test.each(Object.entries(AUDIT_EVENT_TYPES))(
    '%s is written by the code and has a description',
    (type, description) => {
      expect(sources).toContain(`'${type}'`);
      expect(description).toMatch(/^An? |^The |^Linking |^Sending /);
      expect(description).toMatch(/\.$/);
    },
  );

  test('the comment of AuditEvent lists all of them', () => {
    const event = contract.files.flatMap(({ messages }) => messages).find(({ name }) => name === 'AuditEvent');
    const listed = /Types: ([\s\S]*?)\.$/m.exec(event ? contract.commentOf(event) : '')?.[1]?.match(/\w+/g);
    expect(listed).toEqual(Object.keys(AUDIT_EVENT_TYPES));
  });

  test('the database writes no other type', () => {
    const written = [...sources.matchAll(/jsonb_build_object\(\s*'type', '(\w+)'/g)].map(([, type]) => type);
    expect(written.length).toBeGreaterThan(1);
    for (const type of written) expect(Object.keys(AUDIT_EVENT_TYPES)).toContain(type);
  });
});

describe('secrets and personal data', () => {
  const CONFIDENTIAL =
    /^(access_token|access_tokens|refresh_token|password|current_password|new_password|password_hash|binding|api_key|authorization_url|state|code|email|new_email|email_prefix|full_name|external_id|subject|address|network|error|secret|uri|qr_code_svg|user_handle|(challenge|totp|recovery|passkey|creation)_\w+|\w+_token)$/;
  /** Their names match, but they hold positions, identifiers, kinds and the error codes of RFC 6749. */
  const HARMLESS = [
    ...['page_token', 'next_page_token', 'SigningKey.state', 'MailRecord.state'],
    ...['FinishOAuthRequest.error', 'FinishLinkIdentityRequest.error'],
    ...['passkey_request_options', 'recovery_codes_left'],
  ];
  /** The name of a factor is the user's own text. */
  const ALSO_CONFIDENTIAL = [
    ...['Challenge.id', 'Factor.name', 'ImportedFactor.name'],
    ...['StartAddTotpRequest.name', 'StartAddPasskeyRequest.name', 'RenameFactorRequest.name'],
  ];
  const isConfidential = ({ name, parent }: DescField) =>
    ALSO_CONFIDENTIAL.includes(`${parent.name}.${name}`) ||
    (CONFIDENTIAL.test(name) && !HARMLESS.includes(name) && !HARMLESS.includes(`${parent.name}.${name}`));
  const isRedacted = ({ proto }: DescField) => proto.options?.debugRedact ?? false;
  const messages = contract.files.flatMap((file) => file.messages);

  test.each(messages.map((message) => [message.name, message] as const))(
    '%s marks them with debug_redact',
    (_, message) => {
      for (const field of message.fields) expect(isRedacted(field), field.name).toBe(isConfidential(field));
    },
  );

  function fieldsIn(message: DescMessage, seen = new Set<DescMessage>()): DescField[] {
    if (seen.has(message)) return [];
    seen.add(message);
    return message.fields.flatMap((field) => [field, ...(field.message ? fieldsIn(field.message, seen) : [])]);
  }

  test.each(documented.map((method) => [`${method.parent.name}.${method.name}`, method] as const))(
    'no client sends those of %s in the URL of a GET',
    (_, { input, idempotency }) => {
      if (fieldsIn(input).some(isRedacted)) expect(idempotency).not.toBe(Idempotency.NO_SIDE_EFFECTS);
    },
  );

  test('only methods that read declare NO_SIDE_EFFECTS', () => {
    const names = documented
      .filter(({ idempotency }) => idempotency === Idempotency.NO_SIDE_EFFECTS)
      .map(({ name }) => name);
    for (const name of names) expect(name).toMatch(/^(Get|List|Query|Stream|Watch)/);
    expect(names.length).toBeGreaterThan(6);
  });
});

describe('errors in the comments', () => {
  const wordsOf = (text: string) => text.match(/\b[A-Z]{2,}(?:_[A-Z]+)*\b/g) ?? [];
  /** `Errors: ...` or `Errors of any call: ...`, without what stands in parentheses. */
  const errorsIn = (comment: string) =>
    [...comment.matchAll(/^Errors(?: of any call)?:\s([\s\S]*?)(?:\n\n|$(?![\s\S]))/gm)].flatMap(([, list = '']) =>
      wordsOf(list.replace(/\([^)]*\)/g, '')),
    );
  const lists = [...documented, ...contract.files.flatMap(({ services }) => services)].map(
    (desc) => [desc.name, errorsIn(contract.commentOf(desc))] as const,
  );

  test.each(lists)('%s names only reasons that exist', (_, names) => {
    for (const name of names) expect(Object.keys(ERROR_REASONS)).toContain(name);
    expect(new Set(names).size).toBe(names.length);
  });

  test('each service names the errors of any call, among them OVERLOADED', () => {
    for (const service of contract.files.flatMap(({ services }) => services)) {
      expect(errorsIn(contract.commentOf(service))).toContain('OVERLOADED');
      expect(service.file.proto.package).toBe(PACKAGE);
    }
  });

  test('each reason is named by an RPC, a service or a field', () => {
    const fields = contract.files.flatMap(({ messages }) => messages).flatMap((message) => message.fields);
    const named = new Set([
      ...lists.flatMap(([, names]) => names),
      ...fields.filter((field) => field.enum?.name === 'Reason').flatMap((field) => wordsOf(contract.commentOf(field))),
    ]);
    // Only grpc.health.v1.Health returns the first, and only requests with cookies receive the second.
    const others = ['SERVICE_NOT_FOUND', 'CROSS_SITE_REQUEST'];
    const expected = Object.keys(ERROR_REASONS).filter((name) => !others.includes(name));
    expect(expected.filter((name) => !named.has(name))).toEqual([]);
  });
});
