// From domain words to messages.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { PrincipalKind, type PrincipalSchema, type TokensSchema, type UserSchema } from '../../gen/auth/v1/types_pb.ts';
import type { UserPrincipal } from '../domain/principal.ts';
import type { Tokens } from '../domain/tokens.ts';
import type { User } from '../domain/user.ts';

export function userMessage({ createdAt, disabled: _, ...user }: User): MessageInitShape<typeof UserSchema> {
  return { ...user, createdAt: timestampFromDate(createdAt) };
}

export function tokensMessage(tokens: Tokens): MessageInitShape<typeof TokensSchema> {
  return {
    accessToken: tokens.accessToken,
    tokenType: 'Bearer',
    expiresAt: timestampFromDate(tokens.expiresAt),
    refreshToken: tokens.refreshToken,
    refreshExpiresAt: timestampFromDate(tokens.refreshExpiresAt),
  };
}

export function principalMessage(principal: UserPrincipal): MessageInitShape<typeof PrincipalSchema> {
  return {
    ...principal,
    kind: PrincipalKind.USER,
    issuedAt: timestampFromDate(principal.issuedAt),
    expiresAt: timestampFromDate(principal.expiresAt),
  };
}
