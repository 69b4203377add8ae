// The service config of gRPC (gRFC A2, A6) for clients in any language: deadlines, and retries of the methods that can
// run twice.
import type { DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import type { Contract } from './contract.ts';
import type { Page } from './page.ts';

/** Memory answers these. */
const VERIFICATION = ['Verify', 'CheckRole', 'BatchVerify', 'BatchCheckRole'];

const RETRY_POLICY = {
  maxAttempts: 4,
  initialBackoff: '0.1s',
  maxBackoff: '1s',
  backoffMultiplier: 2,
  retryableStatusCodes: ['UNAVAILABLE'],
};

/** Go embeds files of its own folder alone. */
const PATHS = ['examples/clients/service-config.json', 'examples/clients/go/latchkey/service-config.json'];

export function serviceConfigFiles({ files }: Contract): Page[] {
  const methods = files.flatMap(({ services }) => services).flatMap((service) => service.methods);
  const unary = methods.filter(({ methodKind }) => methodKind === 'unary');
  const isVerification = ({ name }: DescMethod) => VERIFICATION.includes(name);
  const others = unary.filter((method) => !isVerification(method));
  const config = {
    loadBalancingConfig: [{ round_robin: {} }],
    retryThrottling: { maxTokens: 100, tokenRatio: 0.1 },
    methodConfig: [
      { name: namesOf(unary.filter(isVerification)), timeout: '2s', retryPolicy: RETRY_POLICY },
      { name: namesOf(others.filter(canRunTwice)), timeout: '10s', retryPolicy: RETRY_POLICY },
      { name: namesOf(others.filter((method) => !canRunTwice(method))), timeout: '10s' },
    ],
  };
  return PATHS.map((path) => ({ path, text: `${formatted(config)}\n` }));
}

function canRunTwice({ idempotency }: DescMethod): boolean {
  return idempotency !== Idempotency.IDEMPOTENCY_UNKNOWN;
}

function namesOf(methods: DescMethod[]): { service: string; method: string }[] {
  return methods.map(({ parent, name }) => ({ service: parent.typeName, method: name }));
}

/** A line for each method, as the formatter writes it. */
function formatted(config: object): string {
  return JSON.stringify(config, null, 2)
    .replace(/\{\s+"service": ("[^"]+"),\s+"method": ("[^"]+")\s+\}/g, '{ "service": $1, "method": $2 }')
    .replace(/\[\s+("[^"]+")\s+\]/g, '[$1]');
}
