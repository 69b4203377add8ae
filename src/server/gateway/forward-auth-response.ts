// The response of forward auth to the gateway.
import type { Authorization } from './authorize-request.ts';
import { identityHeaders, rejection } from './identity-headers.ts';

export type ForwardAuthResponse = { status: number; headers: [name: string, value: string][]; body: string };

export function forwardAuthResponse(authorization: Authorization): ForwardAuthResponse {
  const headers: ForwardAuthResponse['headers'] = [['cache-control', 'no-store']];
  if (authorization.allowed) {
    headers.push(...Object.entries(identityHeaders(authorization.principal)));
    // Gateways copy it over the Cookie header of the request.
    if (authorization.cookies !== undefined) headers.push(['cookie', authorization.cookies]);
    return { status: 200, headers, body: '' };
  }
  const { redirect } = authorization;
  const { status, challenge, body } = rejection(authorization);
  headers.push(['www-authenticate', challenge]);
  if (redirect) headers.push([redirect.byHeader ? 'x-auth-redirect' : 'location', redirect.url]);
  headers.push(['content-type', 'application/json']);
  return { status: redirect?.byHeader === false ? 302 : status, headers, body: JSON.stringify(body) };
}
