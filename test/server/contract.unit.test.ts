// The published contract (proto/) against the code: reasons, codes, comments and options. Needs no server.
import { globSync, readFileSync } from 'node:fs';
import { Code } from '@connectrpc/connect';
import { codeFromString } from '@connectrpc/connect/protocol-connect';
import { describe, expect, test } from 'vitest';
import { ReasonSchema } from '../../gen/latchkey/auth/v1/errors_pb.ts';
import { AUDIT_EVENT_TYPES } from '../../src/domain/audit-event-types.ts';
import { ERROR_REASONS } from '../../src/domain/error-reason.ts';

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

  test('the database writes no other type', () => {
    const written = [...sources.matchAll(/jsonb_build_object\(\s*'type', '(\w+)'/g)].map(([, type]) => type);
    expect(written.length).toBeGreaterThan(1);
    for (const type of written) expect(Object.keys(AUDIT_EVENT_TYPES)).toContain(type);
  });
});
