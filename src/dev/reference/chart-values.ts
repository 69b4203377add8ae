// The values of the Helm chart, read from values.yaml: each key with its default and the comment above it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isPair, isScalar, parseDocument, type YAMLMap } from 'yaml';

export const CHART = 'deploy/helm/latchkey';

export type ChartValue = {
  name: string;
  /** Such as `serve.replicas`. */
  path: string;
  comment: string;
  default: unknown;
  /** Empty for a scalar, a list, and a map that the operator fills freely. */
  children: ChartValue[];
};

/** @throws when a key has no comment */
export function chartValues(root: string): ChartValue[] {
  const { contents } = parseDocument(readFileSync(join(root, CHART, 'values.yaml'), 'utf8'));
  if (!isMap(contents)) throw new Error('values.yaml is no map');
  return membersOf(contents, '', contents.commentBefore ?? '');
}

/** The comment above the first key of a map belongs to the map in YAML's model. */
function membersOf(map: YAMLMap, prefix: string, firstComment: string): ChartValue[] {
  return map.items.filter(isPair).map(({ key, value }, n) => {
    if (!isScalar(key)) throw new Error(`a key below ${prefix} is no scalar`);
    const name = String(key.value);
    const path = prefix ? `${prefix}.${name}` : name;
    const comment = (key.commentBefore ?? (n === 0 ? firstComment : '')).trim().replace(/\n\s*/g, ' ');
    const isDocumented = isMap(value) && !value.flow && value.items.length > 0;
    const content = isMap(value) || isScalar(value) ? value : null;
    const children = isDocumented && !isQuantities(name) ? membersOf(value, path, value.commentBefore ?? '') : [];
    if (comment === '') throw new Error(`${path} in values.yaml has no comment`);
    const json = content?.toJSON() ?? (value as { toJSON(): unknown }).toJSON();
    return { name, path, comment, default: json, children };
  });
}

/** The form of Kubernetes: requests and limits of any resource. */
function isQuantities(name: string): boolean {
  return name === 'resources';
}
