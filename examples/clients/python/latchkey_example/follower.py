"""Follows the Watch stream of one of several servers, and verifies access tokens with its data.

The rules are those of docs/concepts/watch-protocol.md.
"""

import asyncio
import random
import time

import grpc

from latchkey.auth.v1 import auth_service_pb2, verifier_service_pb2
from latchkey.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from latchkey.auth.v1.verifier_service_pb2_grpc import VerifierServiceStub

from .errors import reason_of, retry_after_of, summary_of
from .view import UNDECIDED, View

VERSION = 1
MAX_STALENESS_MS, MAX_STALENESS_DISCONNECTED_MS = 5_000, 1_000
LATE_AFTER_MS = 1_500
SILENT_AFTER_SECONDS, NO_ANSWER_AFTER_SECONDS = 2, 5
CURSOR_REJECTED = (grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.INVALID_ARGUMENT)


class Follower:
    """`await verify(token)` returns a verdict and the claims. Run `follow()` as a task beside it."""

    def __init__(self, connect, urls, service_key, audience=""):
        """`connect(url)` returns a channel."""
        self._connect, self._urls, self._audience = connect, urls, audience
        self._channels = [connect(url) for url in urls]
        self._metadata = (("authorization", f"Bearer {service_key}"),)
        self._view, self._cursor, self._index, self._failures = View(), "", 0, 0
        self._is_up_to_date, self._last_message_ms = False, 0
        self.ready = asyncio.Event()

    @property
    def issuer(self):
        """Known once `ready` is set."""
        return self._view.issuer

    async def verify(self, token):
        """The verdict is empty for a valid token, and else the name of a reason, or UNAVAILABLE."""
        now_ms = _monotonic_ms()
        is_following = self._is_up_to_date and now_ms - self._last_message_ms < LATE_AFTER_MS
        max_staleness_ms = MAX_STALENESS_MS if is_following else MAX_STALENESS_DISCONNECTED_MS
        verdict, claims = self._view.judge(token, self._audience, now_ms, max_staleness_ms)
        return (verdict, claims) if verdict != UNDECIDED else await self._ask(token, claims)

    async def _ask(self, token, claims):
        """The answer of a server about a token that this client cannot decide."""
        request = auth_service_pb2.VerifyRequest(access_token=token, audience=self._audience)
        for channel in self._channels[self._index :] + self._channels[: self._index]:
            try:
                principal = (await AuthServiceStub(channel).Verify(request, timeout=2)).principal
                return "", claims or {"sub": principal.user_id or principal.service_account_id}
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                    return reason_of(error) or "TOKEN_INVALID", None
        return "UNAVAILABLE", None

    async def follow(self, on_error=print):
        while True:
            shortest = 0
            try:
                await self._watch(self._urls[self._index])
            except (grpc.aio.AioRpcError, TimeoutError, ValueError) as error:
                if isinstance(error, grpc.aio.AioRpcError):
                    shortest = retry_after_of(error) or 0
                    if error.code() in CURSOR_REJECTED:
                        self._cursor = ""
                on_error(f"{self._urls[self._index]}: {summary_of(error)}")
            finally:
                self._is_up_to_date = False
            self._index = (self._index + 1) % len(self._urls)
            self._failures += 1
            await asyncio.sleep(max(shortest, _pause_seconds(self._failures // len(self._urls))))

    async def _watch(self, url):
        self._view.begin_stream(is_snapshot=self._cursor == "")
        request = verifier_service_pb2.WatchRequest(cursor=self._cursor, version=VERSION)
        async with self._connect(url) as channel:
            stream = VerifierServiceStub(channel).Watch(request, metadata=self._metadata)
            while True:
                silence = SILENT_AFTER_SECONDS if self._is_up_to_date else NO_ANSWER_AFTER_SECONDS
                message = await asyncio.wait_for(stream.read(), silence)
                if message is grpc.aio.EOF:
                    return
                self._last_message_ms = _monotonic_ms()
                self._view.receive(message, self._last_message_ms)
                if message.cursor:
                    self._cursor = message.cursor
                    self.ready.set()
                    if self._last_message_ms - self._view.confirmed_ms > MAX_STALENESS_MS:
                        raise ValueError("the server is too far behind")
                    # Only a second message counts as success.
                    self._failures = 0 if self._is_up_to_date else self._failures
                    self._is_up_to_date = True


def _pause_seconds(rounds):
    """The pause grows once every server has failed."""
    if rounds == 0:
        return 0.05 * random.random()
    return min(5, 0.1 * 2 ** min(rounds - 1, 10)) * random.uniform(0.5, 1.5)


def _monotonic_ms():
    return time.monotonic() * 1000
