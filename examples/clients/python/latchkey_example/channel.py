from pathlib import Path
from urllib.parse import urlsplit

import grpc

SERVICE_CONFIG = Path(__file__).parents[2] / "service-config.json"


def connect(url):
    """A channel with the deadlines and retries of service-config.json."""
    scheme, target = urlsplit(url)[:2]
    options = [
        ("grpc.service_config", SERVICE_CONFIG.read_text()),
        # Channels would share a connection that can be dead.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if scheme == "http":
        return grpc.aio.insecure_channel(target, options)
    if scheme == "https":
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options)
    raise ValueError("the URL must begin with http:// or https://")
