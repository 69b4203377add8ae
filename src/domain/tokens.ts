/** What a sign-in or a refresh gives. */
export type Tokens = {
  accessToken: string;
  expiresAt: Date;
  refreshToken: string;
  refreshExpiresAt: Date;
};
