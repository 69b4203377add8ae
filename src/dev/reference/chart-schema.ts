// values.schema.json of the Helm chart: Helm rejects a key that values.yaml lacks, and a configuration key that Latchkey lacks.
import { CONFIGURATION } from '../../config/configuration.ts';
import type { ChartValue } from './chart-values.ts';

type Schema = Record<string, unknown>;

/** The chart sets these keys from other values. */
const SET_BY_THE_CHART = new Set([
  ...['NODE_ENV', 'ALLOW_CLEARTEXT', 'PORT', 'HEALTH_PORT', 'LISTEN_ADMIN', 'METRICS_PORT', 'POLICY_FILE'],
  ...['SHUTDOWN_DELAY_SECONDS', 'SHUTDOWN_GRACE_SECONDS'],
  ...['TLS_CERT_FILE', 'TLS_KEY_FILE', 'TLS_CLIENT_CA_FILE', 'TLS_CLIENT_AUTH', 'TLS_CLIENT_SERVICES'],
]);

const PORT = { type: 'integer', minimum: 1, maximum: 65535 };
const STRINGS = { type: 'array', items: { type: 'string', minLength: 1 } };
const OBJECTS = { type: 'array', items: { type: 'object' } };
const TEXTS = { type: 'object', additionalProperties: { type: 'string' } };
const COUNT = { type: 'integer', minimum: 1 };
const SECONDS = { type: 'integer', minimum: 0, maximum: 300 };
const QUANTITIES = { type: 'object', additionalProperties: { type: ['string', 'number'] } };
const NAME = { type: 'string', pattern: '^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$' };
const CLEARTEXT = ['smtp', 'redis', 'postgres', 'public-url', 'issuer', 'metrics', 'otlp'];

/** Values whose type does not follow from their default. */
const RULES: Record<string, Schema> = {
  'image.repository': { type: 'string', minLength: 1 },
  'image.digest': { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' },
  'image.pullPolicy': { enum: ['Always', 'IfNotPresent', 'Never'] },
  allowCleartext: { type: 'array', items: { enum: CLEARTEXT } },
  existingSecret: NAME,
  'migrate.existingSecret': NAME,
  'tls.clientAuth': { enum: ['optional', 'required'] },
  'migrate.mode': { enum: ['hook', 'job', 'none'] },
  'migrate.backoffLimit': { type: 'integer', minimum: 0 },
  'serve.replicas': COUNT,
  'worker.replicas': COUNT,
  'serve.maxUnavailable': { type: ['integer', 'string'] },
  'worker.maxUnavailable': { type: ['integer', 'string'] },
  'ports.api': PORT,
  'ports.admin': { ...PORT, minimum: 0 },
  'ports.metrics': PORT,
  'ports.health': PORT,
  'service.type': { enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] },
  'probes.protocol': { enum: ['grpc', 'http'] },
  'shutdown.delaySeconds': SECONDS,
  'shutdown.graceSeconds': SECONDS,
  'tls.clientServices': STRINGS,
  'autoscaling.cpuUtilization': { type: 'integer', minimum: 1, maximum: 100 },
  'gatewayApi.grpcRoute.hostnames': STRINGS,
  'gatewayApi.httpRoute.hostnames': STRINGS,
  'istio.peerAuthentication.mode': { enum: ['STRICT', 'PERMISSIVE'] },
};

/** Free maps of text, by the last part of their path. */
const TEXT_MAPS = /(?:[aA]nnotations|[lL]abels|selector|nodeSelector)$/;

export function chartSchema(values: ChartValue[]): Schema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart latchkey',
    ...mapOf(values),
  };
}

/** `global` is Helm's own, for charts that contain this one. */
function mapOf(values: ChartValue[], isTop = true): Schema {
  const properties = Object.fromEntries(values.map((value) => [value.name, schemaOf(value)]));
  return {
    type: 'object',
    additionalProperties: false,
    properties: { ...properties, ...(isTop && { global: { type: 'object' } }) },
  };
}

function schemaOf(value: ChartValue): Schema {
  return { description: value.comment, ...formOf(value) };
}

function formOf({ name, path, default: standard, children }: ChartValue): Schema {
  const rule = RULES[path];
  if (rule) return rule;
  if (path === 'config') return configuration();
  if (name === 'resources') return resources();
  if (children.length > 0) return mapOf(children, false);
  if (Array.isArray(standard)) return OBJECTS;
  if (standard !== null && typeof standard === 'object') return TEXT_MAPS.test(path) ? TEXTS : { type: 'object' };
  return typeof standard === 'number' ? COUNT : { type: typeof standard };
}

function resources(): Schema {
  return { type: 'object', additionalProperties: false, properties: { requests: QUANTITIES, limits: QUANTITIES } };
}

/** A secret key belongs into existingSecret; its twin with a path may stand here. */
function configuration(): Schema {
  const ofService = CONFIGURATION.filter(({ usedBy }) => usedBy.includes('serve') || usedBy.includes('worker'));
  const allowed = ofService.filter(({ name }) => !SET_BY_THE_CHART.has(name));
  const names = allowed.map(({ name, isSecret }) => (isSecret ? `${name}_FILE` : name));
  const value = { type: ['string', 'integer', 'boolean'] };
  const fixed = names.filter((name) => !name.includes('<NAME>'));
  const patterns = names
    .filter((name) => name.includes('<NAME>'))
    .map((name) => `^${name.replace('<NAME>', '[A-Z0-9]+')}$`);
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(fixed.map((name) => [name, value])),
    // Standard variables of OpenTelemetry and of Node.
    patternProperties: Object.fromEntries(
      [...patterns, '^OTEL_[A-Z_]+$', '^NODE_EXTRA_CA_CERTS$'].map((one) => [one, value]),
    ),
  };
}
