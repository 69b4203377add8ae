/** Who a credential speaks for. */
export type UserPrincipal = {
  kind: 'user';
  userId: string;
  sessionId: string;
  email: string;
  roles: string[];
  issuedAt: Date;
  expiresAt: Date;
};

type ServicePrincipal = { kind: 'service'; name: string };

export type Principal = UserPrincipal | ServicePrincipal;
