package dev.latchkey.examples.verify;

import com.auth0.jwk.JwkProvider;
import com.auth0.jwk.JwkProviderBuilder;
import com.auth0.jwt.JWT;
import com.auth0.jwt.algorithms.Algorithm;
import com.auth0.jwt.exceptions.JWTVerificationException;
import java.net.URI;
import java.security.PublicKey;
import java.security.interfaces.ECPublicKey;
import java.security.interfaces.RSAPublicKey;

final class Auth0 {
  static Main.Verifier verifier(String issuer, String audience) throws Exception {
    JwkProvider keys = new JwkProviderBuilder(URI.create(issuer + "/.well-known/jwks.json").toURL()).build();
    return token -> {
      PublicKey key = keys.get(JWT.decode(token).getKeyId()).getPublicKey();
      var verified =
          JWT.require(algorithmOf(key))
              .withIssuer(issuer)
              .withAudience(audience)
              .withClaimPresence("exp")
              .build()
              .verify(token);
      if (!"at+jwt".equals(verified.getType())) throw new JWTVerificationException("not an access token");
      return verified.getSubject();
    };
  }

  /** The key decides the algorithm, never the header of the token. */
  private static Algorithm algorithmOf(PublicKey key) {
    if (key instanceof ECPublicKey ec) return Algorithm.ECDSA256(ec, null);
    if (key instanceof RSAPublicKey rsa) return Algorithm.RSA256(rsa, null);
    throw new JWTVerificationException("no algorithm for a key of " + key.getAlgorithm());
  }
}
