import { LAYERS, ONLY, RESERVED } from '../layers.ts';
import { code, paragraphs, table } from './markdown.ts';

export function layersSection(): string {
  const rooms = LAYERS.toReversed().flatMap((layer, index) =>
    layer.map(({ name, owns }) => [String(LAYERS.length - index), code(`src/${name}`), owns]),
  );
  return paragraphs(
    table(['Layer', 'Folder or file', 'Owns'], rooms),
    'Some packages are imported by a few folders only:',
    table(
      ['Packages', 'Folders'],
      RESERVED.map(({ packages, rooms: users }) => [listOf(packages), listOf(users)]),
    ),
    'Some folders import less than the layers below them:',
    table(
      ['Folder', 'Imports only'],
      Object.entries(ONLY).map(([name, others]) => [code(name), listOf(others)]),
    ),
  );
}

function listOf(names: string[]): string {
  return names.length === 0 ? 'packages alone' : names.map(code).join(', ');
}
