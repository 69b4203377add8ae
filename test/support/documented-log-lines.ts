import { isLogField } from '../../src/process/log-fields.ts';

const OF_EVERY_LINE = ['level', 'time', 'msg', 'err'];

/** @throws for a line with a field that docs/reference/logs.md lacks, or that the logger has dropped */
export function assertDocumentedLines(lines: string[], dropped: string[]): void {
  const unknown = lines.flatMap((line) =>
    Object.keys(JSON.parse(line)).filter((name) => !isLogField(name) && !OF_EVERY_LINE.includes(name)),
  );
  const all = [...new Set([...unknown, ...dropped])];
  if (all.length > 0) throw new Error(`src/process/log-fields.ts lacks fields of log lines: ${all.join(', ')}`);
}
