package main

import (
	"context"
	"errors"

	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func jwx(ctx context.Context, issuer, audience string) (func(token string) (string, error), error) {
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		return nil, err
	}
	address := issuer + "/.well-known/jwks.json"
	if err := cache.Register(ctx, address); err != nil {
		return nil, err
	}
	keys, err := cache.CachedSet(address)
	if err != nil {
		return nil, err
	}
	return func(token string) (string, error) {
		verified, err := jwt.Parse([]byte(token),
			jwt.WithKeySet(keys),
			jwt.WithIssuer(issuer),
			jwt.WithAudience(audience),
			jwt.WithRequiredClaim(jwt.ExpirationKey),
		)
		if err != nil {
			return "", err
		}
		message, err := jws.Parse([]byte(token))
		if err != nil {
			return "", err
		}
		if typ, _ := message.Signatures()[0].ProtectedHeaders().Type(); typ != "at+jwt" {
			return "", errors.New("not an access token")
		}
		subject, _ := verified.Subject()
		return subject, nil
	}, nil
}
