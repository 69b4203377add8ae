// In production, rejects connections that an attacker can read or forge, unless ALLOW_CLEARTEXT names them.
import { isLoopback } from '../domain/loopback.ts';
import { parseRedisUrl } from '../redis/parse-redis-url.ts';
import { type ConnectionSecurity, connectionSecurity } from '../store/postgres/connection-security.ts';
import type { Environment } from './key.ts';

export const CLEARTEXT_NAMES = ['smtp', 'redis', 'postgres', 'public-url', 'issuer', 'metrics', 'otlp'] as const;
export type Cleartext = (typeof CLEARTEXT_NAMES)[number];

const DATABASE_KEYS = ['DATABASE_URL', 'MIGRATION_DATABASE_URL', 'DATABASE_LISTEN_URL'];
/** Parameters of SMTP_URL that neither weaken TLS nor skip the login. */
const HARMLESS_SMTP_PARAMETERS = ['name', 'tls.servername'];
const CONNECTION_PROBLEMS: Partial<Record<ConnectionSecurity, string>> = {
  cleartext: 'allows a connection to Postgres in cleartext: use sslmode=verify-full',
  unverified: 'does not verify the Postgres server: use sslmode=verify-full, and sslrootcert=<file> for a private CA',
  unusable: 'has TLS parameters that contradict each other, or names a file that cannot be read',
};

/** Skips a value that is not a URL, which the format of its key rejects. @param allowed the words of ALLOW_CLEARTEXT */
export function cleartextProblems(values: Environment, allowed: string[]): string[] {
  const found: [Cleartext, string | null][] = [
    ...DATABASE_KEYS.map((key): [Cleartext, string | null] => ['postgres', postgresProblem(key, values[key])]),
    ['redis', redisProblem(values.REDIS_URL)],
    ['smtp', smtpProblem(values.SMTP_URL)],
    ['public-url', webProblem('PUBLIC_URL', values.PUBLIC_URL)],
    ['issuer', webProblem('ISSUER', values.ISSUER)],
    ['metrics', metricsProblem(values)],
    ...otlpProblems(values).map((problem): [Cleartext, string] => ['otlp', problem]),
  ];
  const problems = found
    .filter(([name, problem]) => problem !== null && !allowed.includes(name))
    .map(([name, problem]) => `${problem}, or add ${name} to ALLOW_CLEARTEXT`);
  if (values.NODE_TLS_REJECT_UNAUTHORIZED === '0') {
    const remedy = 'remove it, and give a private CA with NODE_EXTRA_CA_CERTS';
    problems.push(`NODE_TLS_REJECT_UNAUTHORIZED=0 turns off the verification of every TLS server: ${remedy}`);
  }
  return problems;
}

function postgresProblem(key: string, url: string | undefined): string | null {
  if (!/^postgres(ql)?:/i.test(url ?? '')) return null;
  const problem = CONNECTION_PROBLEMS[connectionSecurity(url as string)];
  return problem ? `${key} ${problem}` : null;
}

function redisProblem(text: string | undefined): string | null {
  const address = parseRedisUrl(text ?? '');
  if (!address || address.isEncrypted || address.hosts.every(({ host }) => isLoopback(host))) return null;
  return 'REDIS_URL connects to Redis in cleartext: begin it with rediss:// (or rediss+sentinel://, rediss+cluster://)';
}

/** The mailer checks STARTTLS when it connects. These parameters could switch it off. */
function smtpProblem(text: string | undefined): string | null {
  const parameters = [...(URL.parse(text ?? '')?.searchParams.keys() ?? [])];
  if (parameters.every((name) => HARMLESS_SMTP_PARAMETERS.includes(name))) return null;
  return `SMTP_URL has parameters that could turn off TLS or the login: keep only ${HARMLESS_SMTP_PARAMETERS.join(' and ')}`;
}

function webProblem(key: string, text: string | undefined): string | null {
  if (URL.parse(text ?? '')?.protocol !== 'http:') return null;
  return `${key} is in cleartext: begin it with https://`;
}

function metricsProblem({ METRICS_PORT, METRICS_HOST, HOST }: Environment): string | null {
  if (METRICS_PORT === undefined || isLoopback(METRICS_HOST ?? HOST ?? '')) return null;
  return 'METRICS_PORT serves metrics in cleartext to other machines: set METRICS_HOST=127.0.0.1';
}

function otlpProblems(values: Environment): string[] {
  if (values.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return [];
  const signals = ['METRICS', 'TRACES'].filter((signal) => values[`OTEL_${signal}_EXPORTER`] !== 'none');
  const keys = signals.map((signal) => {
    const own = `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`;
    return values[own] === undefined ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : own;
  });
  return [...new Set(keys)]
    .filter((key) => values[key] !== undefined && !isProtectedEndpoint(values[key]))
    .map((key) => `${key} sends telemetry in cleartext: begin it with https://`);
}

/** gRPC exporters take `collector:4317` without a protocol as well. */
function isProtectedEndpoint(text: string): boolean {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  return url !== null && (url.protocol === 'https:' || isLoopback(url.hostname));
}
