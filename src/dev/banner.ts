/**
 * The addresses of the service and the mailbox, and three commands that work as printed.
 * @param caFile the certificate authority for curl, or null
 */
export function banner(apiUrl: string, caFile: string | null, mailboxUrl: string | null, home: string | null): string {
  const curl = caFile === null ? 'curl -s' : `curl -s --cacert ${caFile}`;
  const call = (method: string) =>
    `${curl} ${apiUrl.replace('http://', '')}/latchkey.auth.v1.AuthService/${method} -H 'content-type: application/json'`;
  return `
  Latchkey serves Connect, gRPC, gRPC-Web and HTTP/1.1 on ${apiUrl}
  ${apiUrl}/ shows what runs here and where to look next.
  ${mailboxUrl ? `Mail arrives in ${mailboxUrl}` : 'Mail goes to SMTP_URL'}
  ${home ? `Data and development keys are in ${home}; delete this folder to start anew.` : 'Data is in DATABASE_URL.'}

  Register, log in, verify:

${call('Register')} -d '{"email":"ada@example.com","password":"an early engine","fullName":"Ada Lovelace"}'

TOKEN=$(${call('Login')} -d '{"email":"ada@example.com","password":"an early engine"}' | sed 's/.*"accessToken":"\\([^"]*\\)".*/\\1/'); echo $TOKEN

${call('Verify')} -d "{\\"accessToken\\":\\"$TOKEN\\"}"

  Ctrl-C stops everything.
`;
}
