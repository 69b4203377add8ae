package dev.latchkey.example;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;

/** The commands of the example. */
public final class Main {
  private static final String USAGE =
      """
      demo URL | follow URL... | conformance FILE

      LATCHKEY_KEY is the service key, and AUDIENCE an audience that tokens for `follow` must have.""";

  private Main() {}

  public static void main(String[] args) throws Exception {
    var command = args.length < 2 ? "" : args[0];
    switch (command) {
      case "demo" -> Demo.run(URI.create(args[1]), variable("LATCHKEY_KEY"));
      case "follow" -> follow(Arrays.copyOfRange(args, 1, args.length));
      case "conformance" -> System.exit(Conformance.run(Path.of(args[1])) ? 0 : 1);
      default -> {
        System.err.println(USAGE);
        System.exit(2);
      }
    }
  }

  /** Prints a verdict for each token on standard input: {@code ok <sub>} or the reason. */
  private static void follow(String[] urls) throws IOException {
    var servers = Arrays.stream(urls).map(URI::create).toList();
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    try (var follower = new Follower(servers, variable("LATCHKEY_KEY"), variable("AUDIENCE"), System.err::println)) {
      for (var token = lines.readLine(); token != null; token = lines.readLine()) {
        System.out.println(follower.verify(token));
      }
    }
  }

  private static String variable(String name) {
    return System.getenv().getOrDefault(name, "");
  }
}
