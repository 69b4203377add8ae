import jwt


def verifier(issuer, audience):
    keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")

    def verify(token):
        verified = jwt.decode_complete(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=["EdDSA", "ES256", "RS256"],
            issuer=issuer,
            audience=audience,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        if verified["header"].get("typ") != "at+jwt":
            raise jwt.InvalidTokenError("not an access token")
        return verified["payload"]

    return verify
