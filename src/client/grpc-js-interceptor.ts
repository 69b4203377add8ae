// `@latchkey/client/grpc-js`, an entry of its own: a service without grpc-js need not install it.
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import {
  Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServiceDefinition,
  type StatusObject,
  type status,
} from '@grpc/grpc-js';
import { AuthError } from '../domain/auth-error.ts';
import { type AccessRules, checkCall } from './access-rule.ts';
import type { Latchkey } from './latchkey.ts';
import { parseMethodRules } from './method-rules.ts';
import { setPrincipal } from './principal-of.ts';
import { rejectedCall } from './rejection.ts';
import { joinRepeatedAuthorization } from './repeated-authorization.ts';
import { guardStream, type StreamGuard } from './stream-guard.ts';

export type GrpcJsInterceptorOptions = {
  /** The services that `rules` can name, as `addService` receives them. */
  services?: readonly ServiceDefinition[];
  /**
   * By method (`shop.v1.Orders/List`) or service (`shop.v1.Orders`). Without a rule a valid token is required, except
   * for grpc.health.v1.Health, which is public.
   */
  rules?: AccessRules;
};

const DETAILS = 'grpc-status-details-bin';

/**
 * For `interceptors` of a grpc-js Server. Rejects each call that does not meet the rule of its method. Ends a stream
 * within about a second when its token is no longer valid.
 * @throws TypeError for an invalid rule
 */
export function grpcJsInterceptor(
  latchkey: Pick<Latchkey, 'verify'>,
  { services = [], rules = {} }: GrpcJsInterceptorOptions = {},
): ServerInterceptor {
  const paths = services.flatMap((service) => Object.values(service).map(({ path }) => path.slice(1)));
  const ruleOf = parseMethodRules(rules, paths);
  joinRepeatedAuthorization();
  return ({ path, requestStream, responseStream }, call) => {
    const rule = ruleOf(path.slice(1));
    let guard: StreamGuard | null = null;
    let isRejected = false;
    let isEnded = false;

    const reject = (error: unknown) => {
      isRejected = true;
      call.sendStatus(statusOf(error));
    };
    const end = () => {
      isEnded = true;
      guard?.stop();
    };
    // The handler of a stream may go on after its end.
    const unlessRejected = <T>(value: T, pass: (value: T) => void) => {
      if (!isRejected) pass(value);
    };
    const responder = new ResponderBuilder()
      .withSendMetadata(unlessRejected)
      .withSendMessage(unlessRejected)
      .withSendStatus((status, pass) => {
        end();
        unlessRejected(status, pass);
      });
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, pass) => {
        const check = () => checkCall(latchkey, rule, metadata.get('authorization').map(String));
        check().then((principal) => {
          setPrincipal(metadata, principal);
          if (principal && !isEnded && (requestStream || responseStream)) guard = guardStream(check, reject);
          pass(metadata);
        }, reject);
      })
      .withOnCancel(end);
    const start = (next: (listener: ReturnType<ServerListenerBuilder['build']>) => void) => next(listener.build());
    return new ServerInterceptingCall(call, responder.withStart(start).build());
  };
}

/**
 * For handlers: `callback(serviceErrorOf(error))`, or `call.emit('error', serviceErrorOf(error))` for a stream. An AuthError,
 * such as that of requireRole, becomes a status with code, message and google.rpc details. Another error stays as it is.
 */
export function serviceErrorOf(error: unknown): Error & Partial<StatusObject> {
  if (error instanceof AuthError) return Object.assign(new Error(error.message), statusOf(error));
  return error instanceof Error ? error : new Error(String(error));
}

function statusOf(error: unknown): StatusObject {
  const rejected = rejectedCall(error);
  const trailers = new Headers();
  setTrailerStatus(trailers, rejected);
  const metadata = new Metadata();
  metadata.set(DETAILS, Buffer.from(trailers.get(DETAILS) ?? '', 'base64'));
  return { code: rejected.code as number as status, details: rejected.rawMessage, metadata };
}
