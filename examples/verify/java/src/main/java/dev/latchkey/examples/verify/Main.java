package dev.latchkey.examples.verify;

import java.io.BufferedReader;
import java.io.InputStreamReader;

/**
 * Reads access tokens from standard input, and prints a line for each: {@code ok <sub>} or {@code rejected <why>}.
 *
 * <pre>
 * mvn -q process-classes
 * ISSUER=http://localhost:8080 AUDIENCE=latchkey java -cp 'target/classes:target/lib/*' dev.latchkey.examples.verify.Main nimbus
 * </pre>
 */
public final class Main {
  interface Verifier {
    /** Returns the subject of the token. */
    String verify(String token) throws Exception;
  }

  public static void main(String[] args) throws Exception {
    String issuer = System.getenv("ISSUER");
    String audience = System.getenv("AUDIENCE");
    Verifier verifier =
        switch (args[0]) {
          case "spring" -> SpringSecurity.verifier(issuer, audience);
          case "nimbus" -> Nimbus.verifier(issuer, audience);
          case "jjwt" -> Jjwt.verifier(issuer, audience);
          case "auth0" -> Auth0.verifier(issuer, audience);
          default -> throw new IllegalArgumentException(args[0]);
        };
    BufferedReader tokens = new BufferedReader(new InputStreamReader(System.in));
    for (String token = tokens.readLine(); token != null; token = tokens.readLine()) {
      try {
        System.out.println("ok " + verifier.verify(token));
      } catch (Exception error) {
        System.out.println("rejected " + String.valueOf(error.getMessage()).lines().findFirst().orElse(""));
      }
    }
  }
}
