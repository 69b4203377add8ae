// `@latchkey/client/grpc-js`, an entry of its own: a service without grpc-js need not install it.
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import {
  Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type status,
} from '@grpc/grpc-js';
import type { Latchkey } from './latchkey.ts';
import { presentedToken } from './presented-token.ts';
import { setPrincipal } from './principal-of.ts';
import { rejectedCall } from './rejection.ts';
import { joinRepeatedAuthorization } from './repeated-authorization.ts';

const DETAILS = 'grpc-status-details-bin';

/** For `interceptors` of a grpc-js Server. Rejects each call that presents no valid access token. */
export function grpcJsInterceptor(latchkey: Pick<Latchkey, 'verify'>): ServerInterceptor {
  joinRepeatedAuthorization();
  const verify = async (metadata: Metadata) =>
    latchkey.verify(presentedToken(metadata.get('authorization').map(String)));
  return (_, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        const listener = new ServerListenerBuilder()
          .withOnReceiveMetadata((metadata, pass) => {
            verify(metadata).then(
              (principal) => {
                setPrincipal(metadata, principal);
                pass(metadata);
              },
              (error: unknown) => call.sendStatus(toStatus(error)),
            );
          })
          .build();
        next(listener);
      },
    });
}

function toStatus(error: unknown) {
  const rejected = rejectedCall(error);
  const trailers = new Headers();
  setTrailerStatus(trailers, rejected);
  const metadata = new Metadata();
  metadata.set(DETAILS, Buffer.from(trailers.get(DETAILS) ?? '', 'base64'));
  return { code: rejected.code as number as status, details: rejected.rawMessage, metadata };
}
