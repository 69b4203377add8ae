import { createHash } from 'node:crypto';
import pg from 'pg';

/** A statement that ends so is parsed once on each connection. Its text must be constant. */
export const PREPARED = '/* prepared */';

/**
 * SQLSTATEs of a name that leads nowhere: invalid_sql_statement_name, duplicate_prepared_statement. PgBouncer causes them
 * where it does not follow names (max_prepared_statements = 0), and DISCARD ALL. Also feature_not_supported, of a plan
 * whose columns a migration has changed. Nothing was executed.
 */
const NAME_PROBLEMS = new Set(['26000', '42P05', '0A000']);

/** Names statements for the connections of one pool, for as long as names work. */
export type StatementNames = {
  /** Null for a statement that is sent as text. */
  of(text: string): string | null;
  /** Returns whether the error comes from a name. Then no further statement is named. */
  failed(error: unknown): boolean;
};

export function createStatementNames(): StatementNames {
  const names = new Map<string, string>();
  let doWork = true;

  /** The hash keeps releases apart whose connections a pooler shares. */
  function nameOf(text: string): string {
    const known = names.get(text);
    if (known !== undefined) return known;
    const name = `latchkey_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
    names.set(text, name);
    return name;
  }

  return {
    of: (text) => (doWork && text.endsWith(PREPARED) ? nameOf(text) : null),
    failed(error) {
      const isOfName = error instanceof pg.DatabaseError && NAME_PROBLEMS.has(error.code ?? '');
      if (isOfName) doWork = false;
      return isOfName;
    },
  };
}
