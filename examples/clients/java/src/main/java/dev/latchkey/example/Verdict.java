package dev.latchkey.example;

/** The answer about a token: `VALID` with its subject, the name of a reason, `UNDECIDED`, or `UNAVAILABLE`. */
record Verdict(String name, String subject) {
  static final Verdict UNDECIDED = new Verdict("UNDECIDED", "");
  static final Verdict UNAVAILABLE = new Verdict("UNAVAILABLE", "");
  static final Verdict TOKEN_INVALID = new Verdict("TOKEN_INVALID", "");

  static Verdict valid(String subject) {
    return new Verdict("VALID", subject);
  }

  static Verdict rejected(String reason) {
    return new Verdict(reason, "");
  }

  boolean isValid() {
    return name.equals("VALID");
  }

  @Override
  public String toString() {
    return isValid() ? "ok " + subject : name;
  }
}
