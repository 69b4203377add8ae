package dev.latchkey.example;

import io.jsonwebtoken.JwtException;
import io.jsonwebtoken.JwtParser;
import io.jsonwebtoken.Jwts;
import io.jsonwebtoken.security.Jwk;
import io.jsonwebtoken.security.JwkSet;
import io.jsonwebtoken.security.Jwks;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.Key;
import java.time.Duration;

/** Verification with the JWKS alone: it accepts the token of an ended session until {@code exp}. */
final class JwksVerifier {
  /** Latchkey publishes a key for longer than this before the key signs. */
  private static final Duration MAX_AGE = Duration.ofMinutes(5);

  private final HttpClient http = HttpClient.newHttpClient();
  private final URI address;
  private final JwtParser parser;
  private JwkSet keys;
  private long fetchedAt;

  JwksVerifier(URI url, String issuer, String audience) {
    address = url.resolve("/.well-known/jwks.json");
    parser =
        Jwts.parser()
            .keyLocator(header -> find(String.valueOf(header.get("kid"))))
            .requireIssuer(issuer)
            .requireAudience(audience)
            .build();
  }

  /** Returns the subject. Throws {@link JwtException} for an invalid token. */
  String verify(String token) {
    var verified = parser.parseSignedClaims(token);
    if (!"at+jwt".equals(verified.getHeader().getType())) throw new JwtException("not an access token");
    if (verified.getPayload().getExpiration() == null) throw new JwtException("the token never expires");
    return verified.getPayload().getSubject();
  }

  private Key find(String kid) {
    return keys().getKeys().stream()
        .filter(key -> kid.equals(key.getId()))
        .findFirst()
        .map(Jwk::toKey)
        .orElseThrow(() -> new JwtException("unknown key"));
  }

  private synchronized JwkSet keys() {
    if (keys == null || System.nanoTime() - fetchedAt > MAX_AGE.toNanos()) {
      keys = Jwks.setParser().build().parse(fetch());
      fetchedAt = System.nanoTime();
    }
    return keys;
  }

  private String fetch() {
    try {
      var request = HttpRequest.newBuilder(address).timeout(Duration.ofSeconds(5)).build();
      var answer = http.send(request, HttpResponse.BodyHandlers.ofString());
      if (answer.statusCode() != 200) throw new IOException(address + " returned " + answer.statusCode());
      return answer.body();
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(error);
    }
  }
}
