import type { Code } from '@connectrpc/connect';
import { codeFromString, codeToHttpStatus } from '@connectrpc/connect/protocol-connect';
import { ERROR_REASONS, type Reason } from '../../domain/error-reason.ts';
import type { Contract } from './contract.ts';
import { anchor, code, escapeTags, linkNames, paragraphs, table } from './markdown.ts';
import type { Page } from './page.ts';

export function errorsPage({ files, commentOf }: Contract, links: Map<string, string>): Page {
  const reasons = files.flatMap(({ enums }) => enums).find(({ name }) => name === 'Reason');
  if (!reasons) throw new Error('errors.proto has no enum Reason');
  const prose = (text: string) => linkNames(escapeTags(text), links);
  const names = reasons.values
    .map(({ localName }) => localName)
    .filter((name): name is Reason => name in ERROR_REASONS);
  const meaningOf = (name: Reason) => {
    const value = reasons.values.find(({ localName }) => localName === name);
    return prose(value ? commentOf(value).replace(/^[A-Z_]+\.\s+/, '') : '');
  };
  return {
    path: 'docs/reference/errors.md',
    text: paragraphs(
      '# Errors',
      prose(commentOf(reasons)),
      table(
        ['Reason', 'gRPC code', 'HTTP status', 'Message'],
        names.map((name) => [
          `[${name}](#${anchor(name)})`,
          grpcCode(name),
          String(httpStatus(name)),
          escapeTags(ERROR_REASONS[name].message),
        ]),
      ),
      ...names.flatMap((name) => [
        `## ${name}`,
        `${code(grpcCode(name))}, HTTP ${httpStatus(name)}: "${escapeTags(ERROR_REASONS[name].message)}".`,
        meaningOf(name),
      ]),
    ),
  };
}

function grpcCode(name: Reason): string {
  return ERROR_REASONS[name].code.toUpperCase();
}

function httpStatus(name: Reason): number {
  return codeToHttpStatus(codeFromString(ERROR_REASONS[name].code) as Code);
}
