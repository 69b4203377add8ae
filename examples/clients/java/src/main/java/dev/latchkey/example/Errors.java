package dev.latchkey.example;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/** The details of failed calls. */
final class Errors {
  private static final String DOMAIN = "latchkey.dev";

  private Errors() {}

  /** The name of a {@code Reason} in errors.proto. Empty for an error that no server of Latchkey has sent. */
  static Optional<String> reasonOf(Throwable error) {
    return details(error, ErrorInfo.class)
        .filter(info -> info.getDomain().equals(DOMAIN))
        .map(ErrorInfo::getReason)
        .findFirst();
  }

  /** The invalid fields with their problems. */
  static Map<String, String> violationsOf(Throwable error) {
    var violations = new TreeMap<String, String>();
    details(error, BadRequest.class)
        .flatMap(request -> request.getFieldViolationsList().stream())
        .forEach(violation -> violations.put(violation.getField(), violation.getDescription()));
    return violations;
  }

  /** The pause after which the same call can succeed. */
  static Optional<Duration> retryAfterOf(Throwable error) {
    return details(error, RetryInfo.class)
        .map(info -> Duration.ofSeconds(info.getRetryDelay().getSeconds(), info.getRetryDelay().getNanos()))
        .findFirst();
  }

  private static <T extends Message> Stream<T> details(Throwable error, Class<T> kind) {
    var status = StatusProto.fromThrowable(error);
    List<Any> details = status == null ? List.of() : status.getDetailsList();
    return details.stream().filter(detail -> detail.is(kind)).flatMap(detail -> unpack(detail, kind));
  }

  private static <T extends Message> Stream<T> unpack(Any detail, Class<T> kind) {
    try {
      return Stream.of(detail.unpack(kind));
    } catch (InvalidProtocolBufferException error) {
      return Stream.empty();
    }
  }
}
