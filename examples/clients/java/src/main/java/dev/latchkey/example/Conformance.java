package dev.latchkey.example;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.latchkey.auth.v1.WatchResponse;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;

/** Compares the verdicts of this client with conformance/verdicts.jsonl. */
final class Conformance {
  private Conformance() {}

  /** Prints each failure and the totals, and returns whether all passed. */
  static boolean run(Path table) throws IOException {
    int passed = 0;
    int failed = 0;
    for (var line : Files.readAllLines(table)) {
      var test = JsonParser.parseString(line).getAsJsonObject();
      var expected = test.get("verdict").getAsString();
      var verdict = verdictOf(test).name();
      if (verdict.equals(expected)) {
        passed++;
        continue;
      }
      failed++;
      System.out.printf("%s: expected %s, received %s%n", test.get("name").getAsString(), expected, verdict);
    }
    System.out.printf("%d passed, %d failed%n", passed, failed);
    return failed == 0 && passed > 0;
  }

  private static Verdict verdictOf(JsonObject test) throws IOException {
    var view = new View();
    view.beginStream(true);
    var messages = test.getAsJsonArray("messages");
    var resumesAfter = test.has("resumes_after") ? test.get("resumes_after").getAsInt() : -1;
    for (int received = 0; received < messages.size(); received++) {
      if (received == resumesAfter) view.beginStream(false);
      var message = messages.get(received).getAsJsonObject();
      var wire = Base64.getDecoder().decode(message.get("wire").getAsString());
      view.receive(WatchResponse.parseFrom(wire), message.get("arrives_at_ms").getAsDouble());
    }
    if (messages.size() == resumesAfter) view.beginStream(false);
    return view.judge(
        test.get("token").getAsString(),
        test.get("audience").getAsString(),
        test.get("verify_at_ms").getAsDouble(),
        test.get("max_staleness_ms").getAsDouble());
  }
}
