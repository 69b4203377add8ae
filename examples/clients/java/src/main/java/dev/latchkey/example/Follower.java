package dev.latchkey.example;

import dev.latchkey.auth.v1.AuthServiceGrpc;
import dev.latchkey.auth.v1.VerifierServiceGrpc;
import dev.latchkey.auth.v1.VerifyRequest;
import dev.latchkey.auth.v1.WatchRequest;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/**
 * Follows the Watch stream of one of several servers, and verifies access tokens with its data. The rules are those of
 * docs/concepts/watch-protocol.md.
 */
final class Follower implements AutoCloseable {
  private static final int VERSION = 1;
  private static final double MAX_STALENESS_MS = 5_000;
  private static final double MAX_STALENESS_DISCONNECTED_MS = 1_000;
  private static final double LATE_AFTER_MS = 1_500;
  private static final long SILENT_AFTER_MS = 2_000;
  private static final long NO_ANSWER_AFTER_MS = 5_000;
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final View view = new View();
  private final CountDownLatch ready = new CountDownLatch(1);
  private final List<URI> urls;
  private final List<ManagedChannel> channels;
  private final Metadata credentials = new Metadata();
  private final String audience;
  private final Consumer<String> log;
  private final Thread thread = new Thread(this::follow, "latchkey-watch");
  private String cursor = "";
  private int failures;
  private volatile int index;
  private volatile boolean isUpToDate;
  private volatile double lastMessageAt;

  Follower(List<URI> urls, String serviceKey, String audience, Consumer<String> log) {
    this.urls = urls;
    this.audience = audience;
    this.log = log;
    channels = urls.stream().map(Channels::connect).toList();
    credentials.put(AUTHORIZATION, "Bearer " + serviceKey);
    thread.setDaemon(true);
    thread.start();
  }

  /** @throws TimeoutException when no server has sent its snapshot in time */
  String awaitIssuer(Duration atMost) throws InterruptedException, TimeoutException {
    if (!ready.await(atMost.toMillis(), TimeUnit.MILLISECONDS)) throw new TimeoutException("Watch sent no snapshot");
    return view.issuer();
  }

  Verdict verify(String token) {
    var now = monotonicMs();
    var isFollowing = isUpToDate && now - lastMessageAt < LATE_AFTER_MS;
    var verdict = view.judge(token, audience, now, isFollowing ? MAX_STALENESS_MS : MAX_STALENESS_DISCONNECTED_MS);
    return verdict.equals(Verdict.UNDECIDED) ? ask(token) : verdict;
  }

  /** The answer of a server about a token that this client cannot decide. */
  private Verdict ask(String token) {
    var request = VerifyRequest.newBuilder().setAccessToken(token).setAudience(audience).build();
    for (int n = 0; n < channels.size(); n++) {
      var stub = AuthServiceGrpc.newBlockingStub(channels.get((index + n) % channels.size()));
      try {
        var principal = stub.withDeadlineAfter(2, TimeUnit.SECONDS).verify(request).getPrincipal();
        return Verdict.valid(principal.getUserId().isEmpty() ? principal.getServiceAccountId() : principal.getUserId());
      } catch (StatusRuntimeException error) {
        if (error.getStatus().getCode() == Status.Code.UNAUTHENTICATED)
          return Verdict.rejected(Errors.reasonOf(error).orElse("TOKEN_INVALID"));
      }
    }
    return Verdict.UNAVAILABLE;
  }

  private void follow() {
    while (!Thread.currentThread().isInterrupted()) {
      var shortest = Duration.ZERO;
      try {
        watch(urls.get(index));
      } catch (InterruptedException error) {
        return;
      } catch (StatusException | TimeoutException | RuntimeException error) {
        shortest = Errors.retryAfterOf(error).orElse(Duration.ZERO);
        var code = Status.fromThrowable(error).getCode();
        if (code == Status.Code.OUT_OF_RANGE || code == Status.Code.INVALID_ARGUMENT) cursor = "";
        log.accept(urls.get(index) + ": " + Errors.reasonOf(error).orElse("") + " " + error.getMessage());
      } finally {
        isUpToDate = false;
      }
      index = (index + 1) % urls.size();
      failures++;
      Backoff.pause(failures / urls.size(), shortest);
    }
  }

  /** On a connection of its own: a former one can be dead. */
  private void watch(URI url) throws StatusException, TimeoutException, InterruptedException {
    view.beginStream(cursor.isEmpty());
    var request = WatchRequest.newBuilder().setCursor(cursor).setVersion(VERSION).build();
    var channel = Channels.connect(url);
    try {
      var stub = VerifierServiceGrpc.newBlockingV2Stub(channel);
      var authorize = MetadataUtils.newAttachHeadersInterceptor(credentials);
      var stream = stub.withInterceptors(authorize).watch(request);
      while (true) {
        var message = stream.read(isUpToDate ? SILENT_AFTER_MS : NO_ANSWER_AFTER_MS, TimeUnit.MILLISECONDS);
        if (message == null) return;
        var now = monotonicMs();
        lastMessageAt = now;
        view.receive(message, now);
        if (message.getCursor().isEmpty()) continue;
        cursor = message.getCursor();
        ready.countDown();
        if (view.ageAt(now) > MAX_STALENESS_MS) throw new IllegalStateException("the server is too far behind");
        // Only a second message counts as success.
        if (isUpToDate) failures = 0;
        isUpToDate = true;
      }
    } finally {
      channel.shutdownNow();
    }
  }

  private static double monotonicMs() {
    return System.nanoTime() / 1e6;
  }

  @Override
  public void close() {
    thread.interrupt();
    channels.forEach(ManagedChannel::shutdownNow);
  }
}
