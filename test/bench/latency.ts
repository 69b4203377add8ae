// Verify at a steady rate over gRPC, in a process of its own: `node latency.ts <url> <token> <calls a second> <seconds>` prints
// the milliseconds of each call, from when it was due.
import http2 from 'node:http2';
import { create, toBinary } from '@bufbuild/protobuf';
import { VerifyRequestSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { envelope } from '../support/raw.ts';

const [url = '', accessToken = '', rate = '1000', seconds = '5'] = process.argv.slice(2);
const body = envelope(toBinary(VerifyRequestSchema, create(VerifyRequestSchema, { accessToken })));
const sessions = Array.from({ length: 4 }, () => http2.connect(url));
await Promise.all(sessions.map((session) => new Promise((resolve) => session.once('remoteSettings', resolve))));

const total = Number(rate) * Number(seconds);
const took: number[] = [];
const startedAt = performance.now();
let sent = 0;
await new Promise<void>((resolve) => {
  const tick = setInterval(() => {
    const due = Math.min(total, ((performance.now() - startedAt) * Number(rate)) / 1000);
    for (; sent < due; sent += 1) {
      const dueAt = startedAt + (sent * 1000) / Number(rate);
      const stream = sessions[sent % sessions.length]?.request({
        ':method': 'POST',
        ':path': '/latchkey.auth.v1.AuthService/Verify',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream?.on('trailers', (trailers) => {
        if (trailers['grpc-status'] !== '0') throw new Error(`status ${trailers['grpc-status']}`);
      });
      stream?.resume();
      stream?.on('close', () => {
        took.push(performance.now() - dueAt);
        if (took.length < total) return;
        clearInterval(tick);
        resolve();
      });
      stream?.end(body);
    }
  }, 1);
});
for (const session of sessions) session.close();
console.log(JSON.stringify(took.map((ms) => Math.round(ms * 100) / 100)));
