import { readFileSync } from 'node:fs';

type PublicFile = { headers: Record<string, string>; body: string };

const FILES: Record<string, PublicFile> = {
  '/style.css': file('style.css', 'text/css'),
  '/page.js': file('page.js', 'text/javascript'),
  '/passkeys.js': file('passkeys.js', 'text/javascript'),
};

export function publicFile(path: string): PublicFile | null {
  return Object.hasOwn(FILES, path) ? (FILES[path] ?? null) : null;
}

function file(name: string, type: string): PublicFile {
  const headers = { 'content-type': `${type}; charset=utf-8`, 'x-content-type-options': 'nosniff' };
  return { headers, body: readFileSync(new URL(`public/${name}`, import.meta.url), 'utf8') };
}
