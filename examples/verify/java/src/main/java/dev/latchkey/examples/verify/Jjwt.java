package dev.latchkey.examples.verify;

import io.jsonwebtoken.JwtException;
import io.jsonwebtoken.Jwts;
import io.jsonwebtoken.security.Jwk;
import io.jsonwebtoken.security.JwkSet;
import io.jsonwebtoken.security.Jwks;
import java.net.URI;
import java.security.Key;

final class Jjwt {
  static Main.Verifier verifier(String issuer, String audience) {
    URI address = URI.create(issuer + "/.well-known/jwks.json");
    var keys = new Refreshed<JwkSet>(() -> Jwks.setParser().build().parse(Refreshed.fetch(address)));
    var parser =
        Jwts.parser()
            .keyLocator(header -> find(keys.get(), String.valueOf(header.get("kid"))))
            .requireIssuer(issuer)
            .requireAudience(audience)
            .build();
    return token -> {
      var verified = parser.parseSignedClaims(token);
      if (!"at+jwt".equals(verified.getHeader().getType())) throw new JwtException("not an access token");
      if (verified.getPayload().getExpiration() == null) throw new JwtException("the token never expires");
      return verified.getPayload().getSubject();
    };
  }

  private static Key find(JwkSet set, String kid) {
    return set.getKeys().stream()
        .filter(key -> kid.equals(key.getId()))
        .findFirst()
        .map(Jwk::toKey)
        .orElseThrow(() -> new JwtException("unknown key"));
  }
}
