import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  getOption,
  ScalarType,
} from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import { access, field_access } from '../../../gen/latchkey/auth/v1/options_pb.ts';
import { type Contract, PACKAGE } from './contract.ts';
import { anchor, code, escapeTags, firstSentence, linkNames, paragraphs, table } from './markdown.ts';
import type { Page } from './page.ts';

const FOLDER = 'docs/reference';

export function apiPages(contract: Contract, links: Map<string, string>): Page[] {
  const writer = createWriter(contract, links);
  const services = contract.files.flatMap((file) => file.services);
  return [writer.indexPage(), ...services.map(writer.servicePage), writer.typesPage()];
}

function createWriter({ files, commentOf }: Contract, links: Map<string, string>) {
  const prose = (text: string) => linkNames(escapeTags(text), links);
  const services = files.flatMap((file) => file.services);
  const levels = files.flatMap(({ enums }) => enums).find(({ name }) => name === 'Access');
  if (!levels) throw new Error('options.proto has no enum Access');

  const levelOf = (number: number) => levels.value[number]?.localName ?? 'UNSPECIFIED';
  const levelLink = (number: number) => `[${levelOf(number)}](api.md#${anchor(levelOf(number))})`;

  function indexPage(): Page {
    const levelTexts = levels?.values
      .filter(({ number }) => number > 0)
      .flatMap((value) => [`### ${value.localName}`, prose(commentOf(value))]);
    return {
      path: `${FOLDER}/api.md`,
      text: paragraphs(
        '# API',
        `Latchkey serves the package \`${PACKAGE}\` over gRPC, gRPC-Web and Connect on one port.`,
        'A call without a gRPC library is a POST with a JSON body: the URL stands with each RPC. Field names in JSON are in lower camel case, a `Timestamp` is an RFC 3339 text and a `Duration` ends in `s`. Each failed call carries one of the reasons in [Errors](errors.md).',
        table(
          ['RPC', 'Access', 'Meaning'],
          services.flatMap((service) =>
            service.methods.map((method) => [
              `[${service.name}.${method.name}](${servicePath(service)}#${anchor(method.name)})`,
              levelLink(getOption(method, access)),
              prose(firstSentence(commentOf(method))),
            ]),
          ),
        ),
        'The same port also serves `grpc.health.v1.Health`, gRPC server reflection (`grpc.reflection.v1` and `v1alpha`) and `envoy.service.auth.v3.Authorization`.',
        '## Access',
        'Each RPC declares which callers it accepts.',
        ...(levelTexts ?? []),
      ),
    };
  }

  function servicePage(service: DescService): Page {
    const ofMethods = new Set(service.methods.flatMap(({ input, output }) => [input, output]));
    const others = service.file.messages.filter((message) => !ofMethods.has(message));
    const enums = [...service.file.enums, ...service.file.messages.flatMap(({ nestedEnums }) => nestedEnums)];
    return {
      path: `${FOLDER}/${servicePath(service)}`,
      text: paragraphs(
        `# ${service.name}`,
        prose(commentOf(service)),
        `Defined in [${service.file.name}.proto](../../proto/${service.file.name}.proto). [All services](api.md).`,
        ...service.methods.flatMap(methodSection),
        ...(others.length > 0 ? ['## Messages', ...others.flatMap(messageSection)] : []),
        ...enums.flatMap(enumSection),
      ),
    };
  }

  function methodSection(method: DescMethod): string[] {
    const stream = method.methodKind === 'server_streaming' ? 'a stream of ' : '';
    return [
      `## ${method.name}`,
      prose(commentOf(method)).replace(/^Errors:/m, '\nErrors:'),
      `\`POST /${method.parent.typeName}/${method.name}\`. Access: ${levelLink(getOption(method, access))}.${getNote(method)}`,
      ...messageTable(`Request: \`${method.input.name}\``, method.input),
      ...messageTable(`Response: ${stream}\`${method.output.name}\``, method.output),
    ];
  }

  function messageTable(title: string, message: DescMessage): string[] {
    const comment = prose(commentOf(message));
    if (message.fields.length === 0) return [`${title}, which has no fields. ${comment}`.trim()];
    return [comment === '' ? `${title}.` : `${title}. ${comment}`, fieldTable(message)];
  }

  function fieldTable(message: DescMessage): string {
    const rows = message.fields.map((field) => [code(field.name), typeOf(field), meaningOf(field)]);
    return table(['Field', 'Type', 'Meaning'], rows);
  }

  function meaningOf(field: DescField): string {
    const level = getOption(field, field_access);
    const restriction = level === 0 ? '' : ` Only for callers with ${levelLink(level)}.`;
    const choice = field.oneof
      ? ` At most one of ${field.oneof.fields.map(({ name }) => code(name)).join(', ')} is set.`
      : '';
    return `${prose(commentOf(field))}${restriction}${choice}`;
  }

  function typeOf(field: DescField): string {
    const one = field.message ?? field.enum;
    const name = one ? linkTo(one) : code(ScalarType[field.scalar ?? 0]?.toLowerCase() ?? '');
    if (field.fieldKind === 'list') return `list of ${name}`;
    return field.fieldKind === 'map' ? `map to ${name}` : name;
  }

  function linkTo(type: DescMessage | DescEnum): string {
    if (type.file.proto.package !== PACKAGE) return code(type.name);
    if (type.name === 'Reason') return '[Reason](errors.md)';
    const [service] = type.file.services;
    return `[${type.name}](${service ? servicePath(service) : 'types.md'}#${anchor(type.name)})`;
  }

  function messageSection(message: DescMessage): string[] {
    return [`### ${message.name}`, prose(commentOf(message)), fieldTable(message)];
  }

  function enumSection(type: DescEnum): string[] {
    const rows = type.values.map((value) => [code(value.name), prose(commentOf(value))]);
    return [`### ${type.name}`, prose(commentOf(type)), table(['Value', 'Meaning'], rows)];
  }

  function typesPage(): Page {
    const shared = files.filter((file) => file.services.length === 0 && file.messages.length > 0);
    return {
      path: `${FOLDER}/types.md`,
      text: paragraphs(
        '# Types',
        'Several services use these messages.',
        ...shared.flatMap(({ messages, enums }) => [
          ...messages.flatMap(messageSection),
          ...enums.flatMap(enumSection),
        ]),
      ),
    };
  }

  return { indexPage, servicePage, typesPage };
}

/** Connect serves GET for unary methods without side effects. */
function getNote({ methodKind, idempotency }: DescMethod): string {
  const isServed = methodKind === 'unary' && idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
  return isServed ? ' GET is served too.' : '';
}

function servicePath({ name }: DescService): string {
  return `${name.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase()}.md`;
}
