import { type Client, createClient, type Transport } from '@connectrpc/connect';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';

/** The services that a user can call. VerifierService requires a service. */
export type UserClients = {
  auth: Client<typeof AuthService>;
  /** Requires the access token of a user. */
  account: Client<typeof AccountService>;
  /** Requires the access token of a user with the role `admin`, or a service with it. */
  admin: Client<typeof AdminService>;
};

export function userClients(transport: Transport): UserClients {
  return {
    auth: createClient(AuthService, transport),
    account: createClient(AccountService, transport),
    admin: createClient(AdminService, transport),
  };
}
