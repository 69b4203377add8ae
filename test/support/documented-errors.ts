// The reasons with which an RPC can fail, read from the comments in proto/: the RPC's `Errors:` and its service's `Errors of any call:`.
import { readFileSync } from 'node:fs';
import type { DescMethod } from '@bufbuild/protobuf';

const ERRORS = /Errors(?: of any call)?: ([\s\S]*)$/;

const cache = new Map<DescMethod, Set<string> | null>();

/** @throws when the comments do not list the reason: the contract would hide it */
export function assertDocumented(method: DescMethod, reason: string | undefined): void {
  const documented = cache.get(method) ?? documentedErrors(method);
  cache.set(method, documented);
  if (reason === undefined || !documented || documented.has(reason)) return;
  throw new Error(`${method.parent.name}.${method.name} failed with ${reason}, which its comment does not list`);
}

/** Null for a service that is not Latchkey's own, such as grpc.health.v1.Health. */
function documentedErrors({ parent, name }: DescMethod): Set<string> | null {
  if (!parent.typeName.startsWith('latchkey.')) return null;
  const proto = readFileSync(`proto/${parent.file.name}.proto`, 'utf8');
  return new Set([...reasonsAbove(proto, `  rpc ${name}(`), ...reasonsAbove(proto, `service ${parent.name} {`)]);
}

/** Notes in parentheses are left out: they name fields. */
function reasonsAbove(proto: string, definition: string): string[] {
  const before = proto.slice(0, proto.indexOf(`\n${definition}`));
  const comment = before.slice(before.lastIndexOf('\n\n'));
  const text = comment.replace(/^ *\/\/ ?/gm, '').replace(/\([^)]*\)/g, '');
  return ERRORS.exec(text)?.[1]?.match(/\b[A-Z]{2,}(?:_[A-Z]+)*\b/g) ?? [];
}
