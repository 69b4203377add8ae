import time

import requests

MAX_AGE_SECONDS = 300


def key_set(url, parse=lambda document: document):
    """Returns a function that returns the keys, at most five minutes old: Latchkey publishes a key for longer than that
    before the key signs."""
    keys, fetched_at = None, 0

    def current():
        nonlocal keys, fetched_at
        if keys is None or time.monotonic() - fetched_at > MAX_AGE_SECONDS:
            answer = requests.get(url, timeout=5)
            answer.raise_for_status()
            keys, fetched_at = parse(answer.json()), time.monotonic()
        return keys

    return current
