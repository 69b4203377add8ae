package dev.latchkey.examples.verify;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.function.Supplier;

/** A value that is at most five minutes old. Latchkey publishes a key for longer than that before the key signs. */
final class Refreshed<T> implements Supplier<T> {
  private static final Duration MAX_AGE = Duration.ofMinutes(5);
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  private final Supplier<T> load;
  private T value;
  private long loadedAt;

  Refreshed(Supplier<T> load) {
    this.load = load;
  }

  @Override
  public synchronized T get() {
    if (value == null || System.nanoTime() - loadedAt > MAX_AGE.toNanos()) {
      value = load.get();
      loadedAt = System.nanoTime();
    }
    return value;
  }

  static String fetch(URI address) {
    try {
      var request = HttpRequest.newBuilder(address).timeout(Duration.ofSeconds(5)).build();
      var answer = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
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
