"""python -m latchkey_example demo URL | follow URL... | conformance FILE

LATCHKEY_KEY is the service key, and AUDIENCE an audience that tokens for `follow` must have.
"""

import asyncio
import os
import sys

from . import conformance, demo
from .channel import connect
from .follower import Follower


async def follow(urls):
    """Prints a verdict for each token on standard input: `ok <sub>` or the reason."""
    follower = Follower(connect, urls, os.environ.get("LATCHKEY_KEY", ""), os.environ.get("AUDIENCE", ""))
    log = lambda line: print(line, file=sys.stderr, flush=True)
    following = asyncio.create_task(follower.follow(log))
    while line := await asyncio.to_thread(sys.stdin.readline):
        verdict, claims = await follower.verify(line.rstrip("\n"))
        print(verdict or f"ok {claims['sub']}", flush=True)
    following.cancel()


def main():
    match sys.argv[1:]:
        case ["demo", url]:
            asyncio.run(demo.run(url, os.environ.get("LATCHKEY_KEY", "")))
        case ["follow", *urls] if urls:
            asyncio.run(follow(urls))
        case ["conformance", path]:
            sys.exit(0 if conformance.run(path) else 1)
        case _:
            sys.exit(__doc__)


main()
