package dev.latchkey.example;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

final class Backoff {
  private Backoff() {}

  /** The pause grows with each round in which every server has failed. An interrupt ends it and stays set. */
  static void pause(int rounds, Duration shortest) {
    var random = ThreadLocalRandom.current();
    var growing = Math.min(5_000, 100L << Math.min(Math.max(rounds - 1, 0), 10)) * random.nextDouble(0.5, 1.5);
    var pauseMs = rounds == 0 ? random.nextLong(50) : (long) growing;
    try {
      Thread.sleep(Math.max(shortest.toMillis(), pauseMs));
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }
}
