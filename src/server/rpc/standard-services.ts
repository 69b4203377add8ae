import type { DescService } from '@bufbuild/protobuf';
import { Authorization } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { file_google_rpc_error_details } from '../../../gen/google/rpc/error_details_pb.ts';
import { Health } from '../../../gen/health/v1/health_pb.ts';
import { AccountService } from '../../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { createHealth } from '../../grpc/health.ts';
import { reflectionRoutes } from '../../grpc/reflection.ts';
import type { Readiness } from '../endpoints/probes.ts';
import type { Routes } from './routes.ts';

const SERVICES: DescService[] = [AuthService, AccountService, VerifierService, AdminService, Authorization];

export type StandardServices = {
  routes: Routes[];
  /** As HealthService. */
  recentlyServing(service: string): boolean | null;
  /** Makes health report NOT_SERVING. */
  stop(): void;
  close(): void;
};

/**
 * Service names for orchestrators: `liveness` is SERVING while the process runs, `readiness` is the same as the empty
 * name.
 */
const LIVENESS = 'liveness';
const READINESS = 'readiness';

export function createStandardServices(readiness: Readiness): StandardServices {
  const health = createHealth({
    services: [...SERVICES.map(({ typeName }) => typeName), READINESS],
    alwaysServing: [LIVENESS],
    isServing: async () => (await readiness()).ready,
  });
  const reflection = reflectionRoutes([...SERVICES, Health], [file_google_rpc_error_details]);
  const { recentlyServing, stop, close } = health;
  return { routes: [health.routes, reflection], recentlyServing, stop, close };
}
