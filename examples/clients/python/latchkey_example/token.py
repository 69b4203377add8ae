"""The form, the signature and the claims of an access token: the rules that need no view."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

MAX_LENGTH = 4608
HEADER = re.compile(r'\{"alg":"[^"\\]+","kid":"([^"\\]+)","typ":"at\+jwt"\}')
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SERVICE_NAME = re.compile(r"(?!latchkey$)[a-z][a-z0-9-]{0,62}")
KEY_TYPES = {
    **dict.fromkeys(("EdDSA", "Ed25519"), ed25519.Ed25519PublicKey),
    "ES256": ec.EllipticCurvePublicKey,
    "RS256": rsa.RSAPublicKey,
}


def load_key(algorithm, spki):
    """Returns None for an algorithm that this client does not implement."""
    if algorithm not in KEY_TYPES:
        return None
    key = load_der_public_key(spki)
    return key if isinstance(key, KEY_TYPES[algorithm]) else None


def names_of(algorithm):
    """RFC 9864 names EdDSA with this curve Ed25519."""
    names = {"EdDSA", "Ed25519"}
    return names if algorithm in names else {algorithm}


def header_of(algorithm, kid):
    return encode(f'{{"alg":"{algorithm}","kid":"{kid}","typ":"at+jwt"}}'.encode())


def decode(text):
    """Raises ValueError unless the text is canonical base64url without padding."""
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data


def encode(data):
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def is_signed(key, content, signature):
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, content)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, content, padding.PKCS1v15(), SHA256())
        elif len(signature) == 64:  # r and s (RFC 7518 section 3.4)
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            key.verify(encode_dss_signature(r, s), content, ec.ECDSA(SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def parse_claims(data):
    """Raises ValueError for claims in another form than Latchkey's."""
    claims = json.loads(data.decode(), object_pairs_hook=_members)
    if not isinstance(claims, dict) or not all(is_valid(claims.get(name)) for name, is_valid in CLAIMS.items()):
        raise ValueError("not the claims of an access token")
    of_user = {name: is_valid(claims.get(name)) for name, is_valid in CLAIMS_OF_USERS.items()}
    if claims["client_id"] == "latchkey" and all(of_user.values()):
        return claims
    if SERVICE_NAME.fullmatch(claims["client_id"]) and not of_user.keys() & claims.keys():
        return claims
    raise ValueError("neither a user nor a service")


def _members(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _is_text(value):
    return isinstance(value, str)


def _is_uuid(value):
    return _is_text(value) and UUID.fullmatch(value) is not None


def _is_integer(value):
    return type(value) is int and abs(value) < 2**53


def _are_texts(value):
    return isinstance(value, list) and all(map(_is_text, value))


CLAIMS = {
    **dict.fromkeys(("iss", "client_id"), _is_text),
    **dict.fromkeys(("sub", "sid", "jti"), _is_uuid),
    **dict.fromkeys(("iat", "exp", "epoch", "roles_epoch"), _is_integer),
    "aud": lambda value: _are_texts(value) and value != [],
    "roles": _are_texts,
}
CLAIMS_OF_USERS = {
    "email": _is_text,
    "email_verified": lambda value: isinstance(value, bool),
    "refresh_counter": _is_integer,
}
