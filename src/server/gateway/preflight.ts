/** The form of a CORS preflight in the Fetch standard. A browser sends no credential with it. */
export function isPreflight(method: string, header: (name: string) => string): boolean {
  return method === 'OPTIONS' && header('origin') !== '' && header('access-control-request-method') !== '';
}
