// The services that LISTEN_ADMIN takes off the public port. Operators, gateways and other services of the deployment
// call them.
import type { DescService } from '@bufbuild/protobuf';
import { Authorization } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { ServerReflection } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { AdminService } from '../../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { VerifierService } from '../../../gen/latchkey/auth/v1/verifier_service_pb.ts';

const ADMIN_SERVICES: DescService[] = [
  AdminService,
  VerifierService,
  Authorization,
  ServerReflection,
  ServerReflectionAlpha,
];
const NAMES = new Set(ADMIN_SERVICES.map(({ typeName }) => typeName));

export type ServesService = (typeName: string) => boolean;

export const servesAll: ServesService = () => true;
export const servesPublic: ServesService = (typeName) => !NAMES.has(typeName);
