package dev.latchkey.example;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import io.grpc.ManagedChannel;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

final class Channels {
  private static final Path SERVICE_CONFIG = Path.of("../service-config.json");

  private Channels() {}

  /** A channel with the deadlines and retries of service-config.json. */
  static ManagedChannel connect(URI url) {
    var isSecure = "https".equals(url.getScheme());
    if (!isSecure && !"http".equals(url.getScheme()))
      throw new IllegalArgumentException("the URL must begin with http:// or https://");
    var port = url.getPort() != -1 ? url.getPort() : isSecure ? 443 : 80;
    var builder = NettyChannelBuilder.forAddress(url.getHost(), port).defaultServiceConfig(serviceConfig()).enableRetry();
    return (isSecure ? builder : builder.usePlaintext()).build();
  }

  private static Map<String, ?> serviceConfig() {
    try {
      return new Gson().fromJson(Files.readString(SERVICE_CONFIG), new TypeToken<Map<String, Object>>() {});
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
