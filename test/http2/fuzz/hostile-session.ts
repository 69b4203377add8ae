import fc from 'fast-check';
import * as f from '../../support/frames.ts';
import { HTTP2_PREFACE, http2Frame } from '../../support/raw.ts';
import { anyFrame, cut, cuts, damagedSession } from '../differential/damage.ts';
import { Session } from '../differential/session.ts';

const MAX_FRAMES = 40;
const MAX_BYTES = 400;
const END_FLAGS = f.END_HEADERS | f.END_STREAM;

const bytes = fc.uint8Array({ maxLength: MAX_BYTES }).map((each) => Buffer.from(each));
/** Valid requests among the random frames, so that streams are open when those arrive. */
const request = fc
  .tuple(fc.nat(6), fc.boolean())
  .map(([n, isWhole]) => f.headers(2 * n + 1, f.request('/x'), isWhole ? END_FLAGS : f.END_HEADERS));
const body = fc
  .tuple(fc.nat(6), fc.boolean(), fc.nat(16_384))
  .map(([n, isEnd, length]) => http2Frame(f.DATA, isEnd ? f.END_STREAM : 0, 2 * n + 1, Buffer.alloc(length)));
const frames = fc.array(
  fc.oneof({ weight: 3, arbitrary: request }, { weight: 2, arbitrary: body }, { weight: 5, arbitrary: anyFrame }),
  { maxLength: MAX_FRAMES },
);

export const hostileSession: fc.Arbitrary<Session> = fc.oneof(
  { weight: 4, arbitrary: damagedSession },
  { weight: 4, arbitrary: frames.map((all) => new Session([HTTP2_PREFACE, ...all])) },
  {
    weight: 1,
    arbitrary: fc.tuple(frames, cuts).map(([all, lengths]) => {
      return new Session(cut(Buffer.concat([HTTP2_PREFACE, ...all]), lengths));
    }),
  },
  { weight: 1, arbitrary: bytes.map((all) => new Session([HTTP2_PREFACE, all])) },
  { weight: 1, arbitrary: bytes.map((all) => new Session([all])) },
);
