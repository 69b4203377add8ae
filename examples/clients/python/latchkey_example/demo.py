"""The tour: each step prints a line."""

import asyncio
import time
from uuid import uuid4

import grpc

from latchkey.auth.v1 import auth_service_pb2 as messages
from latchkey.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from latchkey.auth.v1.errors_pb2 import Reason

from .channel import connect
from .errors import reason_of, retry_after_of, violations_of
from .follower import Follower
from .local import JwksVerifier

AUDIENCE = "latchkey"
MAX_ATTEMPTS = 30


async def run(url, service_key):
    async with connect(url) as channel:
        auth = AuthServiceStub(channel)
        email, password = f"{uuid4()}@people.example", f"pass phrase {uuid4()}"
        await auth.Register(messages.RegisterRequest(email=email, password=password, full_name="Grace Hopper"))
        tokens = (await auth.Login(messages.LoginRequest(email=email, password=password))).tokens
        print("signed in")
        await _ask(auth, tokens.access_token)
        await _fail(auth, email)
        await _verify_locally(auth, url, service_key, tokens)
        await _exhaust(auth)


async def _ask(auth, token):
    principal = (await auth.Verify(messages.VerifyRequest(access_token=token, audience=AUDIENCE))).principal
    print(f"Verify: {principal.user_id} holds {', '.join(principal.roles)}")
    answer = await auth.CheckRole(messages.CheckRoleRequest(access_token=token, role="admin"))
    print(f"CheckRole: {'allowed' if answer.allowed else Reason.Name(answer.reason).removeprefix('REASON_')}")


async def _fail(auth, email):
    try:
        await auth.Register(messages.RegisterRequest(email="not an address", password="short"))
    except grpc.aio.AioRpcError as error:
        print(f"Register: {reason_of(error)} in {', '.join(sorted(violations_of(error)))}")
    try:
        await auth.Login(messages.LoginRequest(email=email, password="another pass phrase"))
    except grpc.aio.AioRpcError as error:
        print(f"Login: {reason_of(error)}")


async def _verify_locally(auth, url, service_key, tokens):
    follower = Follower(connect, [url], service_key, AUDIENCE)
    following = asyncio.create_task(follower.follow())
    await asyncio.wait_for(follower.ready.wait(), 10)
    jwks = JwksVerifier(url, follower.issuer, AUDIENCE)
    claims = await asyncio.to_thread(jwks.verify, tokens.access_token)
    print(f"JWKS: {claims['sub']}")
    verdict, claims = await follower.verify(tokens.access_token)
    print(f"Watch: {verdict or claims['sub']}")
    await auth.Logout(messages.LogoutRequest(refresh_token=tokens.refresh_token))
    began = time.monotonic()
    while not verdict and time.monotonic() - began < 5:
        await asyncio.sleep(0.01)
        verdict, _ = await follower.verify(tokens.access_token)
    print(f"Watch after Logout: {verdict or 'accepted'}")
    await asyncio.to_thread(jwks.verify, tokens.access_token)
    print("JWKS after Logout: accepted until exp")
    following.cancel()


async def _exhaust(auth):
    unknown = messages.LoginRequest(email=f"{uuid4()}@people.example", password="a wrong pass phrase")
    for _ in range(MAX_ATTEMPTS):
        try:
            await auth.Login(unknown)
        except grpc.aio.AioRpcError as error:
            if seconds := retry_after_of(error):
                print(f"Login: {reason_of(error)}, retry after {seconds:.0f} s")
                return
    print(f"Login: no limit after {MAX_ATTEMPTS} attempts")
