package watch

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxTokenLength = 4_608
	maxLifetime    = 3_600
	maxClockSkew   = 60
	userClient     = "latchkey"
)

var (
	uuid          = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	serviceName   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	unknownHeader = regexp.MustCompile(`^\{"alg":"[A-Z][\w-]+","kid":"([\w-]{43})","typ":"at\+jwt"\}$`)
)

// Claims of an access token (RFC 9068).
type Claims struct {
	Issuer, Subject, SessionID string
	Audiences, Roles           []string
	Epoch, RolesEpoch          int64
	IssuedAt, ExpiresAt        int64
}

// Headers are compared and never parsed: each key has one, or two for EdDSA (RFC 9864).
func headersOf(kid, algorithm string) []string {
	names := []string{algorithm}
	if algorithm == "EdDSA" {
		names = append(names, "Ed25519")
	}
	for n, name := range names {
		names[n] = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"%s","kid":"%s","typ":"at+jwt"}`, name, kid))
	}
	return names
}

// kidOf returns the kid of a header in the right form, or an empty string.
func kidOf(header string) string {
	if match := unknownHeader.FindSubmatch(decodeCanonical(header)); match != nil {
		return string(match[1])
	}
	return ""
}

func split(token string) (header, payload, signature string, ok bool) {
	parts := strings.Split(token, ".")
	if len(token) > maxTokenLength || len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

func readClaims(token string, key crypto.PublicKey) *Claims {
	header, payload, signature, _ := split(token)
	content, signed := decodeCanonical(payload), decodeCanonical(signature)
	if content == nil || !hasSigned(key, []byte(header+"."+payload), signed) {
		return nil
	}
	return parseClaims(content)
}

// The decoder of Go skips line breaks, so the text is compared with its canonical form.
func decodeCanonical(text string) []byte {
	content, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(content) != text {
		return nil
	}
	return content
}

// The algorithm follows from the key, never from the token (RFC 8725 section 3.1).
func hasSigned(key crypto.PublicKey, content, signature []byte) bool {
	digest := sha256.Sum256(content)
	switch key := key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(key, content, signature)
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(key, digest[:], r, s)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

func fits(key crypto.PublicKey, algorithm string) bool {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return algorithm == "EdDSA" || algorithm == "Ed25519"
	case *ecdsa.PublicKey:
		return algorithm == "ES256" && key.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return algorithm == "RS256" && key.N.BitLen() >= 2_048 && key.N.BitLen() <= 4_096
	}
	return false
}

func parseClaims(content []byte) *Claims {
	members := parseObject(content)
	if members == nil {
		return nil
	}
	r := reader{members: members, ok: true}
	claims := &Claims{
		Issuer: r.text("iss"), Subject: r.uuid("sub"), SessionID: r.uuid("sid"),
		Audiences: r.texts("aud"), Roles: r.texts("roles"),
		Epoch: r.integer("epoch"), RolesEpoch: r.integer("roles_epoch"),
		IssuedAt: r.integer("iat"), ExpiresAt: r.integer("exp"),
	}
	r.uuid("jti")
	if r.text("client_id") == userClient {
		r.text("email")
		r.integer("refresh_counter")
		_, isBoolean := members["email_verified"].(bool)
		r.ok = r.ok && isBoolean
	} else {
		r.ok = r.ok && serviceName.MatchString(r.text("client_id"))
		for _, name := range []string{"email", "email_verified", "refresh_counter"} {
			_, isPresent := members[name]
			r.ok = r.ok && !isPresent
		}
	}
	lifetime := claims.ExpiresAt - claims.IssuedAt
	if !r.ok || len(claims.Audiences) == 0 || lifetime <= 0 || lifetime > maxLifetime {
		return nil
	}
	return claims
}

// encoding/json takes the last of two equal members and folds case in structs. This rejects the one and not the other.
func parseObject(content []byte) map[string]any {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') || !utf8.Valid(content) {
		return nil
	}
	members := map[string]any{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil
		}
		var value any
		if _, isTwice := members[name.(string)]; isTwice || decoder.Decode(&value) != nil {
			return nil
		}
		members[name.(string)] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil
	}
	return members
}

// reader keeps the first failure, so that the claims above can be read in one expression.
type reader struct {
	members map[string]any
	ok      bool
}

func (r *reader) text(name string) string {
	text, ok := r.members[name].(string)
	r.ok = r.ok && ok
	return text
}

func (r *reader) uuid(name string) string {
	text := r.text(name)
	r.ok = r.ok && uuid.MatchString(text)
	return text
}

func (r *reader) texts(name string) []string {
	list, ok := r.members[name].([]any)
	r.ok = r.ok && ok
	texts := make([]string, len(list))
	for n, item := range list {
		texts[n], ok = item.(string)
		r.ok = r.ok && ok
	}
	return texts
}

func (r *reader) integer(name string) int64 {
	number, _ := r.members[name].(json.Number)
	value, err := strconv.ParseInt(number.String(), 10, 64)
	r.ok = r.ok && err == nil && value < 1<<53 && value > -(1<<53)
	return value
}
