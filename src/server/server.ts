// The order in which a request passes through the server, from the socket to the use case. The lists run in the order
// in which they stand; a new endpoint or a new step of every RPC goes here. Nothing else belongs here.
import type { Deps } from '../deps.ts';
import type { KeyPolicy } from '../domain/key-schedule.ts';
import { createBrowserSessionHandler } from './browser-session/browser-session.ts';
import type { CallLog } from './calls/call-log.ts';
import type { CallDeps } from './calls/call-record.ts';
import { createConcurrencyLimit } from './calls/concurrency-limit.ts';
import { createFairSlots } from './calls/fair-slots.ts';
import { createCorsHandler } from './endpoints/cors.ts';
import { createFastForwardAuth } from './fast-path/fast-forward-auth.ts';
import { createFastIntrospection } from './fast-path/fast-introspection.ts';
import { createFastPath } from './fast-path/fast-path.ts';
import { createFastRpcs } from './fast-path/fast-rpcs.ts';
import type { CurrentPolicy } from './gateway/check-request.ts';
import { extAuthzRoutes } from './gateway/ext-authz.ts';
import { createForwardAuthHandler } from './gateway/forward-auth.ts';
import { createMetadataHandler } from './oauth/metadata.ts';
import { createIntrospectionHandler } from './oauth/oauth-introspect.ts';
import { createRevocationHandler } from './oauth/oauth-revoke.ts';
import { createOAuthTokenHandler } from './oauth/oauth-token.ts';
import { adminRoutes } from './rpc/admin-routes.ts';
import { type ServesService, servesAll, servesPublic } from './rpc/admin-services.ts';
import { createDescriptorsHandler } from './rpc/descriptors.ts';
import {
  acquireSlot,
  authorizeCaller,
  identifyClient,
  receiveMessage,
  rejectAmbiguousCredentials,
  rejectCompression,
} from './rpc/gate.ts';
import { acceptNamedClient, authorizeMessages, convertErrors, limitTime } from './rpc/interceptors.ts';
import { limitPublicStreams } from './rpc/public-streams.ts';
import { routes } from './rpc/routes.ts';
import { createRpcHandler } from './rpc/rpc.ts';
import type { StandardServices } from './rpc/standard-services.ts';
import { createUnknownGrpcMethodHandler } from './rpc/unknown-grpc-method.ts';
import type { Handler } from './transport/handler.ts';
import type { ListenAddress } from './transport/listen-on-all.ts';
import { type Listener, type ListenerOptions, listen } from './transport/listener.ts';

export type ServerDeps = Deps & CallDeps & { callLog: CallLog; policy: CurrentPolicy };

export type ServerOptions = {
  listener: ListenerOptions;
  /** Serves everything. PORT then serves what the public needs. Null when PORT serves everything. */
  listenAdmin: ListenAddress | null;
  corsOrigins: string[];
  standardServices: Pick<StandardServices, 'routes' | 'recentlyServing'>;
  /** Otherwise only services and administrators can use reflection. */
  hasPublicReflection: boolean;
  keyPolicy: KeyPolicy;
  probes: Handler;
  /** The pages of a development start. */
  pages: Handler;
};

/** Requests of one process whose body has not arrived. Each holds at most 64 KiB. */
const MAX_WAITING_REQUESTS = 1_000;
/** Responses of one process that have not been read. Each holds at most 64 KiB, or 1 MiB for a batch. */
const MAX_UNREAD_RESPONSES = 1_000;
/** Applies while more than half of those slots are in use. */
const WAIT_UNDER_PRESSURE_MS = 2_000;
const MAX_PUBLIC_STREAMS = 1_000;

/** A separate address for administration listens before the public port. @throws when it cannot listen on a port */
export async function startServer(deps: ServerDeps, options: ServerOptions): Promise<Listener & { adminPort: number }> {
  const slots = {
    waiting: createFairSlots({ capacity: MAX_WAITING_REQUESTS, maxHoldUnderPressureMs: WAIT_UNDER_PRESSURE_MS }),
    unread: createFairSlots({ capacity: MAX_UNREAD_RESPONSES, maxHoldUnderPressureMs: WAIT_UNDER_PRESSURE_MS }),
    publicStreams: createFairSlots({ capacity: MAX_PUBLIC_STREAMS, maxHoldUnderPressureMs: Number.POSITIVE_INFINITY }),
    concurrencyLimit: createConcurrencyLimit(),
  };
  const all = { ...deps, ...slots, hasPublicReflection: options.hasPublicReflection };
  const { corsOrigins, standardServices } = options;
  const fast = { ...all, corsOrigins, recentlyServing: standardServices.recentlyServing };

  // 1. The connection (transport/listener.ts): limit on connections, PROXY protocol, TLS, protocol detection, then
  // node:http or src/http2, which make a stream of each request.
  const listenOn = (address: ListenAddress, serves: ServesService) =>
    listen({ ...options.listener, address }, fastPath(serves), handlers(serves));

  // 2. The fast path answers Verify and its kin from memory. It hands over every other request, unchanged.
  const fastPath = (serves: ServesService) =>
    createFastPath([createFastRpcs(fast, serves), createFastForwardAuth(fast), createFastIntrospection(fast)]);

  // 3. Time limits of the request (transport/server-request.ts), then the first of these handlers that answers it.
  const handlers = (serves: ServesService): Handler[] => [
    createCorsHandler(options.corsOrigins),
    createRpcHandler(all, {
      // 4. Before the message of an RPC is decoded.
      gate: [
        rejectCompression,
        rejectAmbiguousCredentials,
        identifyClient(all),
        authorizeCaller(all),
        receiveMessage,
        acquireSlot(slots.concurrencyLimit),
      ],
      // 5. Around the handler of an RPC.
      interceptors: [convertErrors, limitTime, limitPublicStreams(all), acceptNamedClient(all), authorizeMessages(all)],
      // 6. The handler calls a use case.
      services: [routes(all), adminRoutes(all), extAuthzRoutes(all), ...options.standardServices.routes],
      serves,
    }),
    createForwardAuthHandler(all, deps.callLog),
    createOAuthTokenHandler(all),
    createIntrospectionHandler(all),
    createRevocationHandler(all),
    createBrowserSessionHandler(all, deps.callLog),
    createDescriptorsHandler(all, serves),
    createMetadataHandler({ ...all, issuer: all.tokenSettings.issuer, policy: options.keyPolicy }),
    options.probes,
    options.pages,
    createUnknownGrpcMethodHandler(deps.callLog, all),
  ];

  const { listener, listenAdmin } = options;
  if (!listenAdmin) return { ...(await listenOn(listener.address, servesAll)), adminPort: 0 };
  const admin = await listenOn(listenAdmin, servesAll);
  try {
    return together(await listenOn(listener.address, servesPublic), admin);
  } catch (error) {
    await admin.close(0);
    throw error;
  }
}

function together(main: Listener, admin: Listener): Listener & { adminPort: number } {
  return {
    port: main.port,
    adminPort: admin.port,
    connections: () => main.connections() + admin.connections(),
    certificateExpiresAt: main.certificateExpiresAt,
    close: async (graceMs) => void (await Promise.all([main.close(graceMs), admin.close(graceMs)])),
  };
}
