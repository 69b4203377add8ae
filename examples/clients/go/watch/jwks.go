package watch

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "latchkey.dev/examples/clients/go/gen/latchkey/auth/v1"
)

// A JSON Web Key (RFC 7517). Bytes are in base64url.
type jwk struct{ Kid, Alg, Kty, X, Y, N, E string }

// VerifyByJwks verifies with the published keys alone: it accepts a token until it expires, also after a logout. A
// service keeps the key set for the max-age of its Cache-Control.
func VerifyByJwks(ctx context.Context, url, issuer, token, audience string) (*Claims, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/.well-known/jwks.json", nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var set struct{ Keys []jwk }
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return nil, err
	}
	changed := &authv1.KeysChanged{Issuer: issuer}
	for _, key := range set.Keys {
		if spki, err := x509.MarshalPKIXPublicKey(key.publicKey()); err == nil {
			changed.Keys = append(changed.Keys, &authv1.PublicKey{Kid: key.Kid, Algorithm: key.Alg, PublicKey: spki})
		}
	}
	// A view without revocations that is always fresh.
	var view View
	view.BeginStream(true)
	now := timestamppb.Now()
	keys := []*authv1.Change{{Change: &authv1.Change_KeysChanged{KeysChanged: changed}}}
	message := &authv1.WatchResponse{Changes: keys, Cursor: "-", AsOf: now, SentAt: now}
	view.Receive(message, 0)
	verdict, claims := view.Judge(token, audience, 0, 0)
	if verdict != Valid {
		return nil, fmt.Errorf("the token is rejected: %s", verdict)
	}
	return claims, nil
}

func (k jwk) publicKey() crypto.PublicKey {
	switch k.Kty {
	case "OKP":
		return ed25519.PublicKey(decoded(k.X))
	case "EC":
		point := slices.Concat([]byte{4}, decoded(k.X), decoded(k.Y))
		if key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err == nil {
			return key
		}
	case "RSA":
		return &rsa.PublicKey{N: integer(k.N), E: int(integer(k.E).Int64())}
	}
	return nil
}

func decoded(text string) []byte {
	content, _ := base64.RawURLEncoding.DecodeString(text)
	return content
}

func integer(text string) *big.Int { return new(big.Int).SetBytes(decoded(text)) }
