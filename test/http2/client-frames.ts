// Frames that a client sends.
import { ERROR, type ErrorCode } from '../../src/http2/protocol.ts';
import * as f from '../support/frames.ts';
import { http2Frame } from '../support/raw.ts';

/** A block and a request without a body. */
export const WHOLE = f.END_HEADERS | f.END_STREAM;
export const PRIORITY_FLAG = 0x20;
export const GET = f.request('/x', 'GET');
/** The answer to `ping()` in words. */
export const PONG = 'PING ACK "12345678"';

/** A request whose body follows. */
export const open = (streamId: number, fields: f.Field[] = GET) => f.headers(streamId, fields);
/** A request without a body. */
export const whole = (streamId: number, fields: f.Field[] = GET) => f.headers(streamId, fields, WHOLE);
export const data = (streamId: number, body: string | Buffer, flags = 0) =>
  http2Frame(f.DATA, flags, streamId, Buffer.from(body));
export const end = (streamId: number, body: string | Buffer = '') => data(streamId, body, f.END_STREAM);
export const reset = (streamId: number, code: ErrorCode = ERROR.CANCEL) =>
  http2Frame(f.RESET, 0, streamId, f.uint32(code));
export const windowUpdate = (streamId: number, by: number) => http2Frame(f.WINDOW_UPDATE, 0, streamId, f.uint32(by));
export const ping = (text = '12345678', flags = 0) => http2Frame(f.PING, flags, 0, Buffer.from(text));
export const priority = (streamId: number) => http2Frame(f.PRIORITY, 0, streamId, Buffer.from([0, 0, 0, 0, 1]));
export const goAway = () => http2Frame(f.GOAWAY, 0, 0, Buffer.alloc(8));
