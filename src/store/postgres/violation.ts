import pg from 'pg';

const UNIQUE_VIOLATION = '23505';
const FOREIGN_KEY_VIOLATION = '23503';

export function isUniqueViolation(error: unknown, constraint: string): boolean {
  return violates(error, UNIQUE_VIOLATION, constraint);
}

export function isForeignKeyViolation(error: unknown, constraint: string): boolean {
  return violates(error, FOREIGN_KEY_VIOLATION, constraint);
}

function violates(error: unknown, code: string, constraint: string): boolean {
  return error instanceof pg.DatabaseError && error.code === code && error.constraint === constraint;
}

/** Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded. */
const FAULTS_OF_DATA = new Set(['22', '23', '54']);

export function isFaultOfData(error: unknown): boolean {
  return error instanceof pg.DatabaseError && FAULTS_OF_DATA.has((error.code ?? '').slice(0, 2));
}
