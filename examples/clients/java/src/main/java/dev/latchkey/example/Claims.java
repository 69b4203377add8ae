package dev.latchkey.example;

import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** The claims of an access token in the form that Latchkey writes. */
record Claims(
    String issuer,
    String subject,
    String sessionId,
    List<String> audiences,
    List<String> roles,
    long issuedAt,
    long expiresAt,
    long epoch,
    long rolesEpoch) {

  private static final long MAX_INTEGER = (1L << 53) - 1;
  private static final Pattern UUID = Pattern.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}");
  private static final Pattern SERVICE_NAME = Pattern.compile("[a-z][a-z0-9-]{0,62}");
  private static final List<String> OF_USERS = List.of("email", "email_verified", "refresh_counter");

  /** @throws IllegalArgumentException for claims in another form */
  static Claims of(Map<?, ?> members) {
    var clientId = text(members, "client_id");
    if (clientId.equals("latchkey")) {
      text(members, "email");
      require(members.get("email_verified") instanceof Boolean);
      integer(members, "refresh_counter");
    } else {
      require(SERVICE_NAME.matcher(clientId).matches());
      require(OF_USERS.stream().noneMatch(members::containsKey));
    }
    uuid(members, "jti");
    var audiences = texts(members, "aud");
    require(!audiences.isEmpty());
    return new Claims(
        text(members, "iss"),
        uuid(members, "sub"),
        uuid(members, "sid"),
        audiences,
        texts(members, "roles"),
        integer(members, "iat"),
        integer(members, "exp"),
        integer(members, "epoch"),
        integer(members, "roles_epoch"));
  }

  private static String text(Map<?, ?> members, String name) {
    if (members.get(name) instanceof String text) return text;
    throw new IllegalArgumentException(name);
  }

  private static String uuid(Map<?, ?> members, String name) {
    var text = text(members, name);
    require(UUID.matcher(text).matches());
    return text;
  }

  private static long integer(Map<?, ?> members, String name) {
    if (members.get(name) instanceof Long value && Math.abs(value) <= MAX_INTEGER) return value;
    throw new IllegalArgumentException(name);
  }

  private static List<String> texts(Map<?, ?> members, String name) {
    if (!(members.get(name) instanceof List<?> list)) throw new IllegalArgumentException(name);
    require(list.stream().allMatch(String.class::isInstance));
    return list.stream().map(String.class::cast).toList();
  }

  private static void require(boolean condition) {
    if (!condition) throw new IllegalArgumentException("not the claims of an access token");
  }
}
