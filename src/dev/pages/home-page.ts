import type { DescService } from '@bufbuild/protobuf';
import { Authorization } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { Health } from '../../../gen/health/v1/health_pb.ts';
import { AccountService } from '../../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { escapeHtml } from '../../jobs/mails/escape-html.ts';
import { RELEASE } from '../../process/release.ts';
import { pageLayout } from './page-layout.ts';

export type HomeFacts = {
  apiUrl: string;
  /** Null when mail goes to the developer's own server. */
  mailboxUrl: string | null;
  /** Where the links of e-mails lead. */
  publicUrl: string;
};

const SERVICES: [DescService, string][] = [
  [AuthService, 'docs/reference/auth-service.md'],
  [AccountService, 'docs/reference/account-service.md'],
  [AdminService, 'docs/reference/admin-service.md'],
  [VerifierService, 'docs/reference/verifier-service.md'],
  [Authorization, 'docs/guides/gateways.md'],
  [Health, 'docs/cookbook/health-and-reflection.md'],
];

const READ_ENDPOINTS: [string, string][] = [
  ['/.well-known/jwks.json', 'the public keys of access tokens'],
  ['/.well-known/openid-configuration', 'the metadata for OpenID Connect libraries'],
  ['/.well-known/oauth-authorization-server', 'the OAuth 2.0 metadata'],
  ['/healthz', 'whether the process runs'],
  ['/readyz', 'whether it can answer, and the problems if not'],
];

const CALLED_ENDPOINTS: [string, string][] = [
  ['/oauth/token', 'a token for an API key'],
  ['/oauth/introspect', 'whether a token is active, and its claims'],
  ['/oauth/revoke', 'the end of the session of a token'],
  ['/forward-auth', 'the decision for each request at a gateway'],
];

const NEXT: [string, string][] = [
  ['docs/tutorial.md', 'from an account to a service that verifies tokens, in ten minutes'],
  ['npm run example:web-app', 'a web application with sign-up, sign-in, passkeys, roles and the pages behind mails'],
  ['docs/guides/second-factors.md', 'authenticator apps, passkeys and recovery codes'],
  ['docs/guides/client-library.md', 'verification of tokens in your own service'],
  ['docs/guides/gateways.md', 'nginx, Caddy, HAProxy, Traefik, Envoy and Istio'],
  ['docs/guides/production.md', 'the way to production'],
];

/** For `npm start` only, so it may name the version and the addresses. */
export function homePage({ apiUrl, mailboxUrl, publicUrl }: HomeFacts): string {
  const mailbox = mailboxUrl === null ? 'the server of SMTP_URL' : link(mailboxUrl, mailboxUrl);
  return pageLayout(
    'Latchkey',
    'home-page.js',
    `<p>An authentication service. This is a development start on ${code(apiUrl)}; the page does not exist in production.</p>
${table([
  ['Version', escapeHtml(RELEASE)],
  ['Health', '<span id="health">...</span>'],
  ['Protocols', 'Connect, gRPC, gRPC-Web and HTTP/1.1 with JSON, all on this port'],
  ['Mail', mailbox],
  ['Links of mails', `lead to ${code(publicUrl)}`],
])}
<h2>Services</h2>
${table(SERVICES.map(([service, page]) => [code(service.typeName), `${methodCount(service)}, ${code(page)}`]))}
<h2>Endpoints</h2>
${table(READ_ENDPOINTS.map(([path, meaning]) => [link(path, path), meaning]))}
${table(CALLED_ENDPOINTS.map(([path, meaning]) => [code(path), meaning]))}
<h2>Next</h2>
${table(NEXT.map(([name, meaning]) => [code(name), meaning]))}`,
  );
}

function methodCount({ methods }: DescService): string {
  return methods.length === 1 ? 'one method' : `${methods.length} methods`;
}

function table(rows: [string, string][]): string {
  return `<table>${rows.map(([head, cell]) => `<tr><th>${head}</th><td>${cell}</td></tr>`).join('\n')}</table>`;
}

function code(text: string): string {
  return `<code>${escapeHtml(text)}</code>`;
}

function link(href: string, text: string): string {
  return `<a href="${escapeHtml(href)}">${escapeHtml(text)}</a>`;
}
