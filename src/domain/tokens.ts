/** The result of a sign-in or a refresh. */
export type Tokens = {
  accessToken: string;
  expiresAt: Date;
  refreshToken: string;
  refreshExpiresAt: Date;
};
