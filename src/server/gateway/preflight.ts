/** The form of a CORS preflight in the Fetch standard. A browser sends no credential with it. */
export function isPreflight(request: { readonly method: string }, header: (name: string) => string): boolean {
  return header('origin') !== '' && header('access-control-request-method') !== '' && request.method === 'OPTIONS';
}
