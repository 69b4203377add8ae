package dev.latchkey.example;

import com.google.protobuf.Timestamp;
import dev.latchkey.auth.v1.Change;
import dev.latchkey.auth.v1.KeysChanged;
import dev.latchkey.auth.v1.WatchResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The data of Watch in memory, and the verdict on a token (rules 13 to 19 and 27 of docs/concepts/watch-protocol.md). Times are of
 * this process's monotonic clock, in milliseconds.
 */
final class View {
  private static final long MAX_LIFETIME_SECONDS = 3600;
  private static final long MAX_SKEW_SECONDS = 60;
  private static final double KEEP_EVENTS_MS = (MAX_LIFETIME_SECONDS + 3 * MAX_SKEW_SECONDS) * 1000.0;
  private static final Pattern HEADER =
      Pattern.compile("\\{\"alg\":\"[^\"\\\\]+\",\"kid\":\"([^\"\\\\]+)\",\"typ\":\"at\\+jwt\"}");
  private static final Epochs NONE = new Epochs(0, 0, 0);

  private record Keys(String issuer, Map<String, Token.Key> byHeader, Set<String> unusableKids) {}

  private record Epochs(long staleBelow, long revokedBelow, double dropAt) {
    Epochs raisedBy(Epochs other) {
      var stale = Math.max(staleBelow, other.staleBelow);
      return new Epochs(stale, Math.max(revokedBelow, other.revokedBelow), Math.max(dropAt, other.dropAt));
    }
  }

  private final Map<String, Double> sessions = new HashMap<>();
  private final Map<String, Epochs> users = new HashMap<>();
  private final Map<String, Epochs> roles = new HashMap<>();
  private volatile Keys keys;
  private double unknownUntil = Double.NEGATIVE_INFINITY;
  private double confirmedAt = Double.NEGATIVE_INFINITY;

  /** The monotonic clock minus the server's, plus the time that the fastest message of the stream took. */
  private double offset;

  private boolean isFirstMessage = true;

  synchronized void beginStream(boolean isSnapshot) {
    // Until a message of the new stream arrives, the former offset gives the server's time.
    isFirstMessage = true;
    if (!isSnapshot) return;
    sessions.clear();
    users.clear();
    roles.clear();
    confirmedAt = Double.NEGATIVE_INFINITY;
  }

  synchronized void receive(WatchResponse message, double now) {
    var delay = now - milliseconds(message.getSentAt());
    offset = isFirstMessage ? delay : Math.min(offset, delay);
    isFirstMessage = false;
    message.getChangesList().forEach(change -> apply(change, now));
    if (message.getCursor().isEmpty()) return;
    confirmedAt = milliseconds(message.getAsOf()) + offset;
    sessions.values().removeIf(dropAt -> dropAt <= now);
    users.values().removeIf(user -> user.dropAt() <= now);
    roles.values().removeIf(role -> role.dropAt() <= now);
  }

  private void apply(Change change, double now) {
    var dropAt = now + KEEP_EVENTS_MS;
    switch (change.getChangeCase()) {
      case KEYS_CHANGED -> keys = load(change.getKeysChanged());
      case SESSION_ENDED -> sessions.put(change.getSessionEnded().getSessionId(), dropAt);
      case USER_CHANGED -> {
        var user = change.getUserChanged();
        var epochs = new Epochs(user.getStaleBelowEpoch(), user.getRevokedBelowEpoch(), dropAt);
        users.merge(user.getUserId(), epochs, Epochs::raisedBy);
      }
      case ROLE_CHANGED -> {
        var role = change.getRoleChanged();
        roles.merge(role.getRole(), new Epochs(role.getStaleBelowEpoch(), 0, dropAt), Epochs::raisedBy);
      }
      case CHANGE_NOT_SET -> unknownUntil = dropAt;
    }
  }

  private static Keys load(KeysChanged message) {
    var byHeader = new HashMap<String, Token.Key>();
    var unusable = new HashSet<String>();
    for (var key : message.getKeysList()) {
      var loaded = Token.loadKey(key.getAlgorithm(), key.getPublicKey().toByteArray());
      if (loaded == null) unusable.add(key.getKid());
      else Token.namesOf(key.getAlgorithm()).forEach(name -> byHeader.put(Token.headerOf(name, key.getKid()), loaded));
    }
    return new Keys(message.getIssuer(), byHeader, unusable);
  }

  /** Null before the first message. */
  String issuer() {
    return keys == null ? null : keys.issuer();
  }

  synchronized double ageAt(double now) {
    return now - confirmedAt;
  }

  Verdict judge(String token, String audience, double now, double maxStaleness) {
    var current = keys;
    if (current == null) return Verdict.UNDECIDED;
    var parts = token.split("\\.", -1);
    if (token.length() > Token.MAX_LENGTH || parts.length != 3) return Verdict.TOKEN_INVALID;
    try {
      var key = current.byHeader().get(parts[0]);
      if (key == null) return judgeHeader(parts[0], current, isFresh(now, maxStaleness));
      if (!Token.isSigned(key, parts[0] + "." + parts[1], Token.decode(parts[2]))) return Verdict.TOKEN_INVALID;
      var claims = Claims.of(Token.parseJson(Token.decode(parts[1])));
      if (!claims.issuer().equals(current.issuer())) return Verdict.TOKEN_INVALID;
      return judgeClaims(claims, audience, now, maxStaleness);
    } catch (GeneralSecurityException | IOException | RuntimeException error) {
      return Verdict.TOKEN_INVALID;
    }
  }

  private static Verdict judgeHeader(String header, Keys keys, boolean isFresh) {
    var canonical = HEADER.matcher(new String(Token.decode(header), StandardCharsets.UTF_8));
    if (!canonical.matches()) return Verdict.TOKEN_INVALID;
    return isFresh && !keys.unusableKids().contains(canonical.group(1)) ? Verdict.TOKEN_INVALID : Verdict.UNDECIDED;
  }

  private synchronized boolean isFresh(double now, double maxStaleness) {
    return now >= unknownUntil && now - confirmedAt <= maxStaleness;
  }

  /** Synchronized: a snapshot that begins meanwhile must not empty the view between the two checks. */
  private synchronized Verdict judgeClaims(Claims claims, String audience, double now, double maxStaleness) {
    var seconds = (now - offset) / 1000;
    var lifetime = claims.expiresAt() - claims.issuedAt();
    if (claims.issuedAt() > Math.floor(seconds) + MAX_SKEW_SECONDS) return Verdict.TOKEN_INVALID;
    if (lifetime <= 0 || lifetime > MAX_LIFETIME_SECONDS) return Verdict.TOKEN_INVALID;
    if (claims.expiresAt() <= seconds) return Verdict.rejected("TOKEN_EXPIRED");
    if (!audience.isEmpty() && !claims.audiences().contains(audience)) return Verdict.rejected("AUDIENCE_MISMATCH");
    if (!isFresh(now, maxStaleness)) return Verdict.UNDECIDED;
    var user = users.getOrDefault(claims.subject(), NONE);
    if (sessions.containsKey(claims.sessionId()) || claims.epoch() < user.revokedBelow())
      return Verdict.rejected("TOKEN_REVOKED");
    var holdsStaleRole =
        claims.roles().stream().anyMatch(role -> claims.rolesEpoch() < roles.getOrDefault(role, NONE).staleBelow());
    if (claims.epoch() < user.staleBelow() || holdsStaleRole) return Verdict.rejected("TOKEN_STALE");
    return Verdict.valid(claims.subject());
  }

  private static double milliseconds(Timestamp time) {
    return time.getSeconds() * 1000.0 + time.getNanos() / 1e6;
  }
}
