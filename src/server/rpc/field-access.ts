// Fields that only some callers may set. The proto names the access that a field requires.
import { type DescField, type DescMessage, getOption, hasOption, isFieldSet, type Message } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { type Access, field_access } from '../../../gen/latchkey/auth/v1/options_pb.ts';

/** Maps each access to the name of one field that requires it, at any depth. */
export function requiredAccess(
  desc: DescMessage,
  message: Message,
  found = new Map<Access, string>(),
): Map<Access, string> {
  if (!isRestricted(desc)) return found;
  for (const field of desc.fields) {
    if (!isFieldSet(message, field)) continue;
    if (hasOption(field, field_access)) found.set(getOption(field, field_access), `${desc.typeName}.${field.name}`);
    if (!field.message || !isRestricted(field.message)) continue;
    for (const part of messagesOf(desc, message, field)) requiredAccess(field.message, part, found);
  }
  return found;
}

function messagesOf(desc: DescMessage, message: Message, field: DescField): Message[] {
  const reflected = reflect(desc, message);
  if (field.fieldKind === 'message') return [reflected.get(field).message];
  if (field.fieldKind === 'list' && field.listKind === 'message') {
    return [...reflected.get(field)].map((item) => (item as ReflectMessage).message);
  }
  if (field.fieldKind === 'map' && field.mapKind === 'message') {
    return [...reflected.get(field).values()].map((item) => (item as ReflectMessage).message);
  }
  return [];
}

const restricted = new Map<DescMessage, boolean>();

function isRestricted(desc: DescMessage): boolean {
  const known = restricted.get(desc);
  if (known !== undefined) return known;
  const fields = messageTypesIn(desc).flatMap((type) => type.fields);
  const found = fields.some((field) => hasOption(field, field_access));
  restricted.set(desc, found);
  return found;
}

/** Each type once: types can contain themselves. */
function messageTypesIn(desc: DescMessage): DescMessage[] {
  const found = new Set([desc]);
  for (const type of found) for (const { message } of type.fields) if (message) found.add(message);
  return [...found];
}
