package dev.latchkey.example;

import dev.latchkey.auth.v1.AuthServiceGrpc;
import dev.latchkey.auth.v1.AuthServiceGrpc.AuthServiceBlockingStub;
import dev.latchkey.auth.v1.CheckRoleRequest;
import dev.latchkey.auth.v1.LoginRequest;
import dev.latchkey.auth.v1.LogoutRequest;
import dev.latchkey.auth.v1.RegisterRequest;
import dev.latchkey.auth.v1.Tokens;
import dev.latchkey.auth.v1.VerifyRequest;
import io.grpc.StatusRuntimeException;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeoutException;

/** The tour: each step prints a line. */
final class Demo {
  private static final String AUDIENCE = "latchkey";
  private static final int MAX_ATTEMPTS = 30;

  private final URI url;
  private final String serviceKey;
  private final AuthServiceBlockingStub auth;

  private Demo(URI url, String serviceKey, AuthServiceBlockingStub auth) {
    this.url = url;
    this.serviceKey = serviceKey;
    this.auth = auth;
  }

  static void run(URI url, String serviceKey) throws InterruptedException, TimeoutException {
    var channel = Channels.connect(url);
    try {
      new Demo(url, serviceKey, AuthServiceGrpc.newBlockingStub(channel)).run();
    } finally {
      channel.shutdownNow();
    }
  }

  private void run() throws InterruptedException, TimeoutException {
    var email = UUID.randomUUID() + "@people.example";
    var password = "pass phrase " + UUID.randomUUID();
    auth.register(
        RegisterRequest.newBuilder().setEmail(email).setPassword(password).setFullName("Grace Hopper").build());
    var tokens = auth.login(login(email, password)).getTokens();
    System.out.println("signed in");
    ask(tokens.getAccessToken());
    fail(email);
    verifyLocally(tokens);
    exhaust();
  }

  private void ask(String token) {
    var question = VerifyRequest.newBuilder().setAccessToken(token).setAudience(AUDIENCE).build();
    var principal = auth.verify(question).getPrincipal();
    System.out.printf("Verify: %s holds %s%n", principal.getUserId(), String.join(", ", principal.getRolesList()));
    var answer = auth.checkRole(CheckRoleRequest.newBuilder().setAccessToken(token).setRole("admin").build());
    var reason = answer.getReason().name().replaceFirst("^REASON_", "");
    System.out.println("CheckRole: " + (answer.getAllowed() ? "allowed" : reason));
  }

  private void fail(String email) {
    try {
      auth.register(RegisterRequest.newBuilder().setEmail("not an address").setPassword("short").build());
    } catch (StatusRuntimeException error) {
      var fields = String.join(", ", Errors.violationsOf(error).keySet());
      System.out.printf("Register: %s in %s%n", Errors.reasonOf(error).orElse(""), fields);
    }
    try {
      auth.login(login(email, "another pass phrase"));
    } catch (StatusRuntimeException error) {
      System.out.println("Login: " + Errors.reasonOf(error).orElse(""));
    }
  }

  private void verifyLocally(Tokens tokens) throws InterruptedException, TimeoutException {
    var token = tokens.getAccessToken();
    try (var follower = new Follower(List.of(url), serviceKey, AUDIENCE, System.err::println)) {
      var jwks = new JwksVerifier(url, follower.awaitIssuer(Duration.ofSeconds(10)), AUDIENCE);
      System.out.println("JWKS: " + jwks.verify(token));
      var verdict = follower.verify(token);
      System.out.println("Watch: " + (verdict.isValid() ? verdict.subject() : verdict.name()));
      auth.logout(LogoutRequest.newBuilder().setRefreshToken(tokens.getRefreshToken()).build());
      for (int n = 0; n < 500 && verdict.isValid(); n++) {
        Thread.sleep(10);
        verdict = follower.verify(token);
      }
      System.out.println("Watch after Logout: " + (verdict.isValid() ? "accepted" : verdict.name()));
      jwks.verify(token);
      System.out.println("JWKS after Logout: accepted until exp");
    }
  }

  private void exhaust() {
    var unknown = login(UUID.randomUUID() + "@people.example", "a wrong pass phrase");
    for (int n = 0; n < MAX_ATTEMPTS; n++) {
      try {
        auth.login(unknown);
      } catch (StatusRuntimeException error) {
        var pause = Errors.retryAfterOf(error);
        if (pause.isEmpty()) continue;
        var reason = Errors.reasonOf(error).orElse("");
        System.out.printf("Login: %s, retry after %d s%n", reason, pause.get().toSeconds());
        return;
      }
    }
    System.out.printf("Login: no limit after %d attempts%n", MAX_ATTEMPTS);
  }

  private static LoginRequest login(String email, String password) {
    return LoginRequest.newBuilder().setEmail(email).setPassword(password).build();
  }
}
