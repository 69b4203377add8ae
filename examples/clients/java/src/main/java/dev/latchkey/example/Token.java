package dev.latchkey.example;

import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import java.io.IOException;
import java.io.StringReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.SignatureException;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The form and the signature of an access token: the rules that need no view. */
final class Token {
  static final int MAX_LENGTH = 4608;

  record Key(String algorithm, PublicKey publicKey) {}

  /** The type of the key, and the name of the signature, by algorithm. A signature of P1363 is r and s (RFC 7518 section 3.4). */
  private static final Map<String, List<String>> ALGORITHMS =
      Map.of(
          "EdDSA", List.of("Ed25519", "Ed25519"),
          "Ed25519", List.of("Ed25519", "Ed25519"),
          "ES256", List.of("EC", "SHA256withECDSAinP1363Format"),
          "RS256", List.of("RSA", "SHA256withRSA"));

  private Token() {}

  /** Returns null for an algorithm that this client does not implement. */
  static Key loadKey(String algorithm, byte[] spki) {
    if (!ALGORITHMS.containsKey(algorithm)) return null;
    try {
      var factory = KeyFactory.getInstance(ALGORITHMS.get(algorithm).get(0));
      return new Key(algorithm, factory.generatePublic(new X509EncodedKeySpec(spki)));
    } catch (GeneralSecurityException error) {
      return null;
    }
  }

  /** RFC 9864 names EdDSA with this curve Ed25519. */
  static Set<String> namesOf(String algorithm) {
    var names = Set.of("EdDSA", "Ed25519");
    return names.contains(algorithm) ? names : Set.of(algorithm);
  }

  static String headerOf(String algorithm, String kid) {
    var json = "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"at+jwt\"}".formatted(algorithm, kid);
    return Base64.getUrlEncoder().withoutPadding().encodeToString(json.getBytes(StandardCharsets.UTF_8));
  }

  static boolean isSigned(Key key, String content, byte[] bytes) throws GeneralSecurityException {
    // Java's Ed25519 ignores bytes after the signature.
    if (!key.algorithm().equals("RS256") && bytes.length != 64) return false;
    var signature = Signature.getInstance(ALGORITHMS.get(key.algorithm()).get(1));
    signature.initVerify(key.publicKey());
    signature.update(content.getBytes(StandardCharsets.US_ASCII));
    try {
      return signature.verify(bytes);
    } catch (SignatureException error) {
      return false;
    }
  }

  /** @throws IllegalArgumentException unless the text is canonical base64url without padding */
  static byte[] decode(String text) {
    var bytes = Base64.getUrlDecoder().decode(text);
    var canonical = Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    if (!canonical.equals(text)) throw new IllegalArgumentException("not canonical base64url");
    return bytes;
  }

  /** @throws IOException for other JSON than one object in UTF-8 without duplicate members */
  static Map<?, ?> parseJson(byte[] bytes) throws IOException {
    var text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    if (!text.startsWith("{")) throw new IOException("not an object");
    var reader = new JsonReader(new StringReader(text));
    reader.setStrictness(Strictness.STRICT);
    var value = (Map<?, ?>) read(reader);
    if (reader.peek() != JsonToken.END_DOCUMENT) throw new IOException("text after the object");
    return value;
  }

  private static Object read(JsonReader reader) throws IOException {
    switch (reader.peek()) {
      case BEGIN_OBJECT -> {
        var members = new HashMap<String, Object>();
        reader.beginObject();
        while (reader.hasNext()) {
          var name = reader.nextName();
          if (members.containsKey(name)) throw new IOException("duplicate member");
          members.put(name, read(reader));
        }
        reader.endObject();
        return members;
      }
      case BEGIN_ARRAY -> {
        var items = new ArrayList<>();
        reader.beginArray();
        while (reader.hasNext()) items.add(read(reader));
        reader.endArray();
        return items;
      }
      case NUMBER -> {
        var digits = reader.nextString();
        return digits.matches("-?\\d{1,16}") ? (Object) Long.valueOf(digits) : (Object) Double.valueOf(digits);
      }
      case STRING -> {
        return reader.nextString();
      }
      case BOOLEAN -> {
        return reader.nextBoolean();
      }
      default -> {
        reader.nextNull();
        return null;
      }
    }
  }
}
