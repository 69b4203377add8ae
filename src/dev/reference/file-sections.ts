import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { replaceSection } from './markdown.ts';

const LANGUAGES: Record<string, string> = {
  '.cs': 'csharp',
  '.go': 'go',
  '.java': 'java',
  '.mjs': 'js',
  '.py': 'python',
  '.rs': 'rust',
  '.yaml': 'yaml',
};

/** Fills each section `<!-- generated: file path -->` of a page with the file. */
export function withFiles(root: string, page: string): string {
  const paths = [...page.matchAll(/^<!-- generated: file (\S+) -->$/gm)].map(([, path = '']) => path);
  return paths.reduce((text, path) => replaceSection(text, `file ${path}`, block(root, path)), page);
}

function block(root: string, path: string): string {
  return `\`\`\`${LANGUAGES[extname(path)] ?? ''}\n${readFileSync(join(root, path), 'utf8').trimEnd()}\n\`\`\``;
}
