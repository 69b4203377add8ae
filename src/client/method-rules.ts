// Which rule a gRPC method has.
import { type AccessRule, type AccessRules, invalid, parseRule, REQUIRED } from './access-rule.ts';

/** `shop.v1.Orders/List` */
export type MethodName = string;

export type MethodRules = (method: MethodName) => AccessRule;

/** Probes have no token. Health reveals only whether the service serves. */
const PUBLIC_SERVICES = ['grpc.health.v1.Health'];
/** Libraries add them to a server by themselves. */
const STANDARD_SERVICES = [
  ...PUBLIC_SERVICES,
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
];

/**
 * The rule of a method is its own, or that of its service, or the default.
 * @param methods of the services that the table can name
 * @throws TypeError for a name that is neither a method nor a service, so that a misspelt rule opens nothing
 */
export function parseMethodRules(rules: AccessRules, methods: readonly MethodName[]): MethodRules {
  const services = [...new Set(methods.map(serviceOf))];
  const table = new Map<string, AccessRule>(PUBLIC_SERVICES.map((name) => [name, { access: 'public' }]));
  for (const [name, rule] of Object.entries(rules)) {
    if (!methods.includes(name) && ![...services, ...STANDARD_SERVICES].includes(name))
      invalid(name, `is no service or method of \`services\`${candidates(name, services, methods)}`);
    table.set(name, parseRule(name, rule));
  }
  return (method) => table.get(method) ?? table.get(serviceOf(method)) ?? REQUIRED;
}

function serviceOf(method: MethodName): string {
  return method.slice(0, method.lastIndexOf('/'));
}

function candidates(name: string, services: string[], methods: readonly MethodName[]): string {
  const near = services.includes(serviceOf(name))
    ? methods.filter((one) => serviceOf(one) === serviceOf(name))
    : services;
  return near.length > 0 ? `; it has ${near.join(', ')}` : ', which is empty';
}
