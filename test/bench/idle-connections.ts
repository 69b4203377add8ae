// `node idle-connections.ts <port> <token> <connections>` opens HTTP/2 connections, sends one Verify on each, prints their number when
// each has its answer, and holds them until a signal.
import { create, toBinary } from '@bufbuild/protobuf';
import { VerifyRequestSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { envelope } from '../support/raw.ts';
import { VERIFY_PATH } from './contenders.ts';
import { openRawClient } from './raw-client.ts';

const AT_ONCE = 50;
const [port, accessToken = '', connections] = process.argv.slice(2);
const body = envelope(toBinary(VerifyRequestSchema, create(VerifyRequestSchema, { accessToken })));

async function openOne(): Promise<void> {
  const client = await openRawClient(Number(port), VERIFY_PATH);
  await new Promise<Buffer>((resolve) => client.call(body, resolve));
}

for (let left = Number(connections); left > 0; left -= AT_ONCE)
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, left) }, openOne));
console.log(JSON.stringify({ connections: Number(connections) }));
