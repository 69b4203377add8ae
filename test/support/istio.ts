// Istio's control plane does not run here. This applies the patches of examples/gateways/istio to a configuration of Envoy, as
// Istio would, so that a real Envoy proves them.
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { ENVOY_GATEWAY, type Gateway } from './gateway.ts';

type Resource = { apiVersion: string; kind: string; metadata: { name: string }; spec: Tree };
type Tree = { [name: string]: unknown };
type Patch = {
  applyTo: 'NETWORK_FILTER' | 'HTTP_FILTER' | 'HTTP_ROUTE';
  match: { routeConfiguration?: { vhost: { route: { name: string } } } };
  patch: { value: Tree };
};

const FOLDER = 'examples/gateways/istio';
const EXTENSIONS = 'type.googleapis.com/envoy.extensions';

export function istioResources(file: string): Resource[] {
  const documents = parseAllDocuments(readFileSync(`${FOLDER}/${file}`, 'utf8'));
  return documents.map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS() as Resource;
  });
}

/** The ingress gateway with these files, in front of the ports that `moved` replaces. */
export function istioGateway(name: string, files: string[], check: 'extension provider' | 'EnvoyFilter'): Gateway {
  return {
    ...ENVOY_GATEWAY,
    name,
    text: () => JSON.stringify(ingressGateway(files.flatMap(istioResources), check)),
  };
}

function ingressGateway(resources: Resource[], check: 'extension provider' | 'EnvoyFilter'): Tree {
  const ofKind = (kind: string) => resources.filter((resource) => resource.kind === kind);
  const http = ofKind('VirtualService').flatMap(({ spec }) => spec.http as VirtualRoute[]);
  const routes = http.map(routeOf);
  const manager: Tree = {
    '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'ingress',
    use_remote_address: true,
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
  };
  const router = { name: 'router', typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` } };
  const filters = check === 'extension provider' ? [extensionProvider(manager)] : [];
  for (const { applyTo, match, patch } of ofKind('EnvoyFilter').flatMap(({ spec }) => spec.configPatches as Patch[])) {
    if (applyTo === 'NETWORK_FILTER') merge(manager, patch.value.typed_config as Tree);
    else if (applyTo === 'HTTP_FILTER') filters.push(patch.value);
    else {
      const route = routes.find((one) => one.name === match.routeConfiguration?.vhost.route.name);
      if (!route) throw new Error(`no route ${match.routeConfiguration?.vhost.route.name}`);
      merge(route, patch.value);
    }
  }
  manager.http_filters = [...filters, router];
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager };
  const listener = { address: address('0.0.0.0', 8000), filter_chains: [{ filters: [filter] }] };
  const clusters = [
    cluster('outbound|8080||latchkey.default.svc.cluster.local', 8080, true),
    cluster('outbound|9000||orders.default.svc.cluster.local', 9000, false),
  ];
  return { static_resources: { listeners: [listener], clusters } };
}

/** As Istio translates meshConfig: its own field names in place of Envoy's. */
function extensionProvider(manager: Tree): Tree {
  const [values] = istioResources('mesh-values.yaml') as unknown as [MeshValues];
  const { pathNormalization, extensionProviders } = values.meshConfig;
  if (pathNormalization.normalization !== 'DECODE_AND_MERGE_SLASHES') throw new Error('paths are not normalised');
  merge(manager, {
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD',
  });
  const { service, port, timeout, failOpen, statusOnError } = extensionProviders[0].envoyExtAuthzGrpc;
  return {
    name: 'envoy.filters.http.ext_authz',
    typed_config: {
      '@type': `${EXTENSIONS}.filters.http.ext_authz.v3.ExtAuthz`,
      transport_api_version: 'V3',
      failure_mode_allow: failOpen,
      status_on_error: { code: Number(statusOnError) },
      grpc_service: {
        envoy_grpc: { cluster_name: `outbound|${port}||${service}`, authority: `outbound_.${port}_._.${service}` },
        timeout,
      },
    },
  };
}

type MeshValues = {
  meshConfig: {
    pathNormalization: { normalization: string };
    extensionProviders: [
      {
        envoyExtAuthzGrpc: { service: string; port: number; timeout: string; failOpen: boolean; statusOnError: string };
      },
    ];
  };
};

type StringMatch = { exact?: string; prefix?: string; regex?: string };
type VirtualRoute = {
  name: string;
  match?: { uri?: StringMatch; ignoreUriCase?: boolean; method?: StringMatch; headers?: Record<string, StringMatch> }[];
  directResponse?: { status: number };
  route?: { destination: { host: string; port: { number: number } } }[];
};

function routeOf({ name, match: [match = {}] = [], directResponse, route }: VirtualRoute): Tree {
  const { uri = { prefix: '/' }, ignoreUriCase = false, method, headers = {} } = match;
  const path = uri.regex
    ? { safe_regex: { regex: uri.regex } }
    : { prefix: uri.prefix, case_sensitive: !ignoreUriCase };
  const matched = [
    ...(method ? [{ name: ':method', string_match: method }] : []),
    ...Object.keys(headers).map((header) => ({ name: header, present_match: true })),
  ];
  const destination = route?.[0]?.destination;
  const action = directResponse
    ? { direct_response: directResponse }
    : { route: { cluster: `outbound|${destination?.port.number}||${destination?.host}` } };
  return { name, match: { ...path, headers: matched }, ...action };
}

function cluster(name: string, port: number, isHttp2: boolean): Tree {
  const http2 = {
    '@type': `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  };
  const endpoint = { endpoint: { address: address('localhost', port) } };
  return {
    name,
    type: 'STRICT_DNS',
    dns_lookup_family: 'V4_PREFERRED',
    ...(isHttp2 && {
      typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': http2 },
    }),
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
  };
}

const address = (host: string, port: number) => ({ socket_address: { address: host, port_value: port } });

/** As a MERGE patch: members of a message are merged, lists are appended. */
function merge(into: Tree, from: Tree): void {
  for (const [name, value] of Object.entries(from)) {
    const known = into[name];
    if (Array.isArray(known) && Array.isArray(value)) known.push(...value);
    else if (isTree(known) && isTree(value)) merge(known, value);
    else into[name] = value;
  }
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
