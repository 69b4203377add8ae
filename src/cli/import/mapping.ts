// `--map`: a JSON file that says which members of the file are which, and what its roles and providers are here.
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { OperatorError } from '../../process/operator-error.ts';
import { asObject } from './json-value.ts';
import { MEMBERS, type Members } from './members.ts';

export type Mapping = {
  /** By our member: the name or names in the file, joined by a space. A dot leads into an object. */
  fields: Partial<Record<keyof Members, string[]>>;
  roles: ReadonlyMap<string, string>;
  providers: ReadonlyMap<string, string>;
};

const names = z.union([z.string(), z.array(z.string()).min(1).max(10)]);
const form = z.strictObject({
  fields: z.partialRecord(z.enum(MEMBERS), names).default({}),
  roles: z.record(z.string(), z.string()).default({}),
  providers: z.record(z.string(), z.string()).default({}),
});

/** @param file empty for no mapping @throws OperatorError */
export async function readMapping(file: string): Promise<Mapping> {
  const { fields, roles, providers } = file === '' ? form.parse({}) : parse(await readFile(file, 'utf8'));
  return {
    fields: Object.fromEntries(Object.entries(fields).map(([name, source]) => [name, [source].flat()])),
    roles: new Map(Object.entries(roles)),
    providers: new Map(Object.entries(providers)),
  };
}

function parse(text: string): z.infer<typeof form> {
  try {
    return form.parse(JSON.parse(text));
  } catch (error) {
    const [issue] = error instanceof z.ZodError ? error.issues : [];
    const place = issue ? ` (${[...issue.path.map(String), issue.message].join(': ')})` : '';
    throw new OperatorError(`the file of --map must be JSON with fields, roles and providers${place}`);
  }
}

/** The members that the mapping takes from an entry. */
export function mappedMembers({ fields }: Mapping, entry: Record<string, unknown>): Members {
  return Object.fromEntries(
    Object.entries(fields).map(([member, sources]) => {
      const values = sources.map((source) => valueAt(entry, source)).filter((value) => value !== undefined);
      return [member, values.length > 1 ? values.join(' ').trim() : values[0]];
    }),
  );
}

/** A list stands for its first element, and a text of JSON for its object. */
function valueAt(entry: Record<string, unknown>, path: string): unknown {
  if (Object.hasOwn(entry, path)) return entry[path];
  let value: unknown = entry;
  for (const name of path.split('.')) {
    const container = asObject(value);
    value = container && Object.hasOwn(container, name) ? container[name] : undefined;
  }
  return Array.isArray(value) && value.length === 1 ? value[0] : value;
}
