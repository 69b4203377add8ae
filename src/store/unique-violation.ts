import pg from 'pg';

const UNIQUE_VIOLATION = '23505';

/** Whether what was to be written is there already, by the name of the constraint that says so. */
export function isUniqueViolation(error: unknown, constraint: string): boolean {
  return error instanceof pg.DatabaseError && error.code === UNIQUE_VIOLATION && error.constraint === constraint;
}
