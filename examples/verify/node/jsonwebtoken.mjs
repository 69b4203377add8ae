import jwt from 'jsonwebtoken';
import { JwksClient } from 'jwks-rsa';

export function verifier(issuer, audience) {
  const keys = new JwksClient({ jwksUri: `${issuer}/.well-known/jwks.json` });
  const keyOf = ({ kid }, done) => {
    keys.getSigningKey(kid).then((key) => done(null, key.getPublicKey()), done);
  };
  const options = { issuer, audience, algorithms: ['ES256', 'RS256'], complete: true };
  return (token) =>
    new Promise((resolve, reject) => {
      jwt.verify(token, keyOf, options, (error, verified) => {
        if (error) reject(error);
        else if (verified.header.typ !== 'at+jwt') reject(new Error('not an access token'));
        else if (verified.payload.exp === undefined) reject(new Error('the token never expires'));
        else resolve(verified.payload);
      });
    });
}
