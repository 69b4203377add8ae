// The Helm chart, rendered by the real Helm. Go's types of Kubernetes, the Gateway API, Istio and the Prometheus operator decode each
// document strictly. Nothing here runs in a cluster.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { CHART, deployTools, readManifests, render, renderManifests, validate } from './helm.ts';

type Manifest = { kind: string; metadata: { name: string; labels?: Record<string, string> }; spec: unknown };

const tools = deployTools();
if (!tools) console.warn('without `npm run test:deploy`, which needs Go, the Helm chart is not rendered');
const EVERY_OPTION = ['-f', 'test/deploy/every-option.yaml', '-n', 'auth'];
const LEAST = [
  '--set',
  'config.PUBLIC_URL=https://p.example,config.ISSUER=https://a.example,config.MAIL_FROM=a@p.example',
];
const SETS = {
  'the least values': LEAST,
  'every option': EVERY_OPTION,
  'client certificates required': [
    ...LEAST,
    '--set',
    'tls.secretName=tls,tls.clientCaSecretName=ca,tls.clientAuth=required',
  ],
  'probes by HTTP': [...LEAST, '--set', 'probes.protocol=http'],
  'a ServiceMonitor': [...LEAST, '--set', 'metrics.serviceMonitor.enabled=true'],
  'a migration by Job': [...LEAST, '--set', 'migrate.mode=job'],
  'no migration, metrics and budgets': [
    ...[...LEAST, '--set', 'migrate.mode=none'],
    ...['--set', 'metrics.enabled=false,podDisruptionBudget.enabled=false'],
  ],
  'TLS without client certificates': [...LEAST, '--set', 'tls.secretName=tls'],
  'network policies without peers': [...LEAST, '--set', 'networkPolicy.enabled=true'],
  'an administration port in a mesh': [
    ...LEAST,
    '--set',
    'ports.admin=8082,istio.destinationRule.enabled=true,service.appProtocol=grpc',
  ],
};

function documentsOf(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

describe.skipIf(!tools)('the chart', () => {
  const withTools = tools as NonNullable<typeof tools>;

  test.each(Object.entries(SETS))('is valid with %s', async (_, args) => {
    const rendered = await render(withTools, args);
    expect(await validate(withTools, rendered)).toBe('');
    const names = documentsOf(rendered).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
  });

  test.each([
    ['replicaCount=2', 'replicaCount'],
    ['config.LIMT_LOGIN_ACCOUNT=1/1', 'LIMT_LOGIN_ACCOUNT'],
    ['config.MASTER_KEY=secret', 'MASTER_KEY'],
    ['config.PORT=80', 'PORT'],
    ['config.ISSUER=', 'config.ISSUER is required'],
    ['serve.replicas=two', '/serve/replicas'],
    ['ports.admin=99999', '/ports/admin'],
    ['image.digest=sha256:0', '/image/digest'],
    ['existingSecret=', '/existingSecret'],
    ['allowCleartext={everything}', '/allowCleartext'],
    ['tls.clientCaSecretName=ca', 'requires tls.secretName'],
    ['gatewayApi.httpRoute.enabled=true', 'parentRefs is required'],
    ['istio.authorizationPolicy.enabled=true', 'selector is required'],
    ['metrics.enabled=false,metrics.podMonitor.enabled=true', 'requires metrics.enabled'],
  ])('rejects %s', async (value, message) => {
    await expect(render(withTools, [...LEAST, '--set', value])).rejects.toThrow(message);
  });

  test('has no secret, and mounts no token of the service account', async () => {
    const rendered = await render(withTools, EVERY_OPTION);
    expect(documentsOf(rendered).map(({ kind }) => kind)).not.toContain('Secret');
    const pods = rendered.match(/^ +containers:$|^containers:$/gm) ?? [];
    const withoutToken = rendered.match(/automountServiceAccountToken: false/g) ?? [];
    // The pods and the account itself.
    expect(withoutToken).toHaveLength(pods.length + 1);
    expect(rendered.match(/readOnlyRootFilesystem: true/g)).toHaveLength(pods.length);
  });

  test('carries the alerts of deploy/prometheus', async () => {
    const [rule] = documentsOf(await render(withTools, EVERY_OPTION)).filter(({ kind }) => kind === 'PrometheusRule');
    const [alerts] = documentsOf(readFileSync('deploy/prometheus/alerts.yml', 'utf8'));
    expect(rule?.spec).toEqual(alerts);
  });

  test('rejects a field that Kubernetes lacks', async () => {
    const [service] = (await render(withTools, LEAST))
      .split('---\n')
      .filter((text) => text.includes('kind: Service\n'));
    const misspelt = service?.replace('selector:', 'selectors:') ?? '';
    expect(await validate(withTools, misspelt)).toContain('selectors');
  });

  test.each(['docs/guides/kubernetes.md', `${CHART}/README.md`])('takes the values that %s sets', async (page) => {
    const [, command = ''] = /^(helm (?:-n \S+ )?install [^`]*?)\n(?:helm|```)/m.exec(readFileSync(page, 'utf8')) ?? [];
    const values = [...command.matchAll(/--set (\S+)/g)].flatMap(([, value = '']) => ['--set', value]);
    expect(values.length).toBeGreaterThan(6);
    expect(await validate(withTools, await render(withTools, values))).toBe('');
  });

  test('renders the plain manifests', async () => {
    expect(readManifests(), 'npm run render:manifests').toBe(await renderManifests(withTools));
  });
});

test('the chart has the version of the service', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  const chart = documentsOf(readFileSync(`${CHART}/Chart.yaml`, 'utf8'))[0];
  expect(chart).toMatchObject({ version, appVersion: version });
});
