// The output of a command: a table for people, JSON for programs.

type Cell = string | number | boolean | Date | null;
type Value = Cell | Value[] | { [name: string]: Value };
export type Row = Record<string, Value>;

export type Output = {
  /** @param none the text for people when there are no rows */
  rows(rows: Row[], none: string): void;
  record(record: Row): void;
  isJson: boolean;
  /** On standard error, also beside JSON: a list that was cut short must not look complete. */
  note(sentence: string): void;
  /** A record, and tables that belong to it: members of the record in JSON. */
  report(record: Row, tables: Record<string, Row[]>): void;
  /** For people only. Programs use the exit code. */
  message(sentence: string): void;
};

export function createOutput(asJson: boolean, write: (text: string) => void): Output {
  function writeRecord(record: Row): void {
    const width = Math.max(...Object.keys(record).map((name) => name.length));
    for (const [name, value] of Object.entries(record)) write(`${name.padEnd(width)}  ${toText(value)}\n`);
  }

  return {
    isJson: asJson,
    note: (sentence) => void process.stderr.write(`${sentence}\n`),
    rows(rows, none) {
      if (asJson) write(`${JSON.stringify(rows)}\n`);
      else if (rows.length === 0) write(`${none}\n`);
      else write(table(rows));
    },
    record(record) {
      if (asJson) return write(`${JSON.stringify(record)}\n`);
      writeRecord(record);
    },
    report(record, tables) {
      if (asJson) return write(`${JSON.stringify({ ...record, ...tables })}\n`);
      writeRecord(record);
      for (const [title, rows] of Object.entries(tables)) {
        write(`\n${title.replaceAll('_', ' ')}: ${rows.length === 0 ? 'none\n' : `\n${table(rows)}`}`);
      }
    },
    message(sentence) {
      if (!asJson) write(`${sentence}\n`);
    },
  };
}

function table(rows: Row[]): string {
  const names = Object.keys(rows[0] ?? {});
  const lines = [names.map((name) => name.toUpperCase()), ...rows.map((row) => names.map((name) => toText(row[name])))];
  const widths = names.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, n) => cell.padEnd(widths[n] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** Text of other users must not control the terminal. */
function plain(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '');
}

function toText(value: Row[string] | undefined): string {
  if (value === null || value === undefined || value === '') return '-';
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(toText).join(', ');
  if (typeof value === 'object') return plain(JSON.stringify(value));
  return plain(String(value));
}

/** Such as `1 problem`. */
export function problemCount(count: number): string {
  return `${count} ${count === 1 ? 'problem' : 'problems'}`;
}
