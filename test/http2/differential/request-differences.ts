import { ERROR } from '../../../src/http2/protocol.ts';
import * as f from '../../support/frames.ts';
import { end, open, WHOLE, whole } from '../client-frames.ts';
import { type AllowedDifference, type Difference, onlyOn, onlyOurs, session, streamErrorOfOurs } from './difference.ts';
import { blocksOf } from './requests.ts';

const requestWith = (...more: f.Field[]) => session(whole(1, [...f.request('/x'), ...more]));
const requestWithout = (name: string, ...first: f.Field[]) =>
  session(whole(1, [...first, ...f.request('/x').filter(([each]) => each !== name)]));
/** A stream whose head and trailers are such ends in an error of this server alone. */
const onStream =
  (server: 'node' | 'ours', test: (head: readonly f.Field[], trailers: readonly f.Field[]) => boolean) =>
  (difference: Difference): boolean => {
    const [head = [], ...trailers] = blocksOf(difference.frames, difference.streamId ?? 0);
    return onlyOn(server, difference) && test(head, trailers.flat());
  };
const valuesOf = (fields: readonly f.Field[], name: string) =>
  fields.filter(([each]) => each === name).map(([, value]) => value);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const URI_PARTS: Record<string, RegExp> = {
  ':method': new RegExp(TOKEN, 'i'),
  ':path': /^[!-~\x80-\xff]*$/,
  ':scheme': /^[a-z][a-z0-9+\-.]*$/i,
  ':authority': /^[a-z0-9\-._~:%!$&'()*+,;=[\]]*$/i,
};

/** Differences about header blocks and requests. */
export const REQUEST_DIFFERENCES: readonly AllowedDifference[] = [
  {
    name: 'an invalid name or value of a header',
    section: '8.2.1',
    why: 'It makes the request malformed. node:http2 leaves the field out.',
    example: requestWith(['a', 'b\nc']),
    allows: onStream('ours', (head, trailers) =>
      [...head, ...trailers.filter(([name]) => !name.startsWith(':'))].some(
        ([name, value]) => !TOKEN.test(name.replace(/^:/, '')) || /[\0\r\n]|^[ \t]|[ \t]$/.test(value),
      ),
    ),
  },
  {
    name: 'characters of a pseudo-header that a URI or a method cannot have',
    section: '8.2.1',
    why: 'A value that is invalid for its field alone does not make the request malformed. The application reads it.',
    example: requestWithout(':method', [':method', 'a b']),
    allows: onStream('node', (head) => head.some(([name, value]) => URI_PARTS[name]?.test(value) === false)),
  },
  {
    name: 'a body longer than its content-length',
    section: '8.1.1',
    why: 'A malformed request is a stream error. node:http2 ends the connection, as section 5.4.1 allows.',
    example: session(open(1, [...f.request('/x'), ['content-length', '1']]), end(1, 'two')),
    allows: (difference) =>
      streamErrorOfOurs('', f.DATA, ({ streamId }) => {
        const [head = []] = blocksOf(difference.frames, streamId);
        return valuesOf(head, 'content-length').length > 0;
      })(difference) && difference.node.code === ERROR.INTERNAL_ERROR,
  },
  {
    name: 'the third change of the size of the table in one block',
    section: '4.2 of RFC 7541',
    why: 'An encoder sends two at most. node:http2 accepts any number.',
    example: session(f.headers(1, Buffer.from([0x20, 0x20, 0x20]), WHOLE)),
    allows: onlyOurs('the table changes its size too often'),
  },
  {
    name: 'a request without an authority',
    section: '8.3.1',
    why: 'Only the method, the scheme and the path are required. The application has no use for the authority.',
    example: requestWithout(':authority'),
    allows: onStream('node', (head) => [':authority', 'host'].every((name) => valuesOf(head, name).join('') === '')),
  },
  {
    name: 'an invalid host',
    section: '8.2.1',
    why: 'A value that is invalid for its field alone does not make the request malformed. The application reads it.',
    example: requestWith(['host', '']),
    allows: onStream('node', (head, trailers) => {
      const hosts = valuesOf([...head, ...trailers], 'host');
      return hosts.length > 1 || hosts.includes('');
    }),
  },
  {
    name: 'content-length twice',
    section: '8.6 of RFC 9110',
    why: 'Equal values may count as one.',
    example: requestWith(['content-length', '0'], ['content-length', '0']),
    allows: onStream('node', (head) => valuesOf(head, 'content-length').length > 1),
  },
  {
    name: 'content-length in the trailers',
    section: '6.5.1 of RFC 9110',
    why: 'Trailers do not describe the body.',
    example: session(open(1), f.headers(1, [['content-length', '1']], WHOLE)),
    allows: onStream('node', (_, trailers) => valuesOf(trailers, 'content-length').length > 0),
  },
];
