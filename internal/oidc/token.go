package oidc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// claims are what an ID token says.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Party    string   `json:"azp"`
	Expires  float64  `json:"exp"`
	Issued   float64  `json:"iat"`
	Nonce    string   `json:"nonce"`

	all map[string]json.RawMessage
}

// audience is one name, or a list of them.
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// The algorithms that an ID token may be signed by. "none" and those with a shared secret are refused.
const (
	rs256 = "RS256"
	es256 = "ES256"
)

// verify returns what an ID token says, if the sign-on signed it for us and it holds now.
func (p *Provider) verify(ctx context.Context, meta metadata, raw string) (claims, error) {
	var c claims
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return c, errors.New("there is none, or it has not three parts")
	}
	var header struct {
		Algorithm string   `json:"alg"`
		Key       string   `json:"kid"`
		Critical  []string `json:"crit"`
	}
	if err := decode(parts[0], &header); err != nil {
		return c, fmt.Errorf("header: %w", err)
	}
	if len(header.Critical) > 0 {
		return c, fmt.Errorf("it demands %v, which we don't know", header.Critical)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return c, fmt.Errorf("signature: %w", err)
	}
	key, err := p.key(ctx, meta, header.Key)
	if err != nil {
		return c, err
	}
	if !isSigned(header.Algorithm, key, []byte(parts[0]+"."+parts[1]), signature) {
		return c, errors.New("the signature is not the sign-on's")
	}
	if err := errors.Join(decode(parts[1], &c), decode(parts[1], &c.all)); err != nil {
		return c, fmt.Errorf("claims: %w", err)
	}
	return c, p.holds(meta, c)
}

// holds returns why claims are not ours, or not of now; nil where they are.
func (p *Provider) holds(meta metadata, c claims) error {
	at := func(seconds float64) time.Time { return time.Unix(int64(seconds), 0) }
	now := p.now()
	switch {
	case c.Issuer != meta.Issuer:
		return fmt.Errorf("it is of %q, want %q", c.Issuer, meta.Issuer)
	case c.Subject == "":
		return errors.New("it names nobody")
	case !slices.Contains(c.Audience, p.config.ClientID):
		return fmt.Errorf("it is for %v, want %s", c.Audience, p.config.ClientID)
	case len(c.Audience) > 1 && c.Party != p.config.ClientID, c.Party != "" && c.Party != p.config.ClientID:
		return fmt.Errorf("it was asked for by %q, want %s", c.Party, p.config.ClientID)
	case !now.Before(at(c.Expires).Add(skewMax)):
		return errors.New("it has expired")
	case at(c.Issued).After(now.Add(skewMax)):
		return errors.New("it is of the future")
	}
	return nil
}

func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// isSigned reports whether a key made a signature by an algorithm that fits the key.
func isSigned(algorithm string, key any, text, signature []byte) bool {
	sum := sha256.Sum256(text)
	switch k := key.(type) {
	case *rsa.PublicKey:
		return algorithm == rs256 && rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey:
		if algorithm != es256 || len(signature) != 64 {
			return false
		}
		return ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return false
}

// key returns the public key of an id. One that is not known is looked for again, at most once a
// keysPause: the sign-on may have a new one.
func (p *Provider) key(ctx context.Context, meta metadata, id string) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if key, ok := p.keys[id]; ok {
		return key, nil
	}
	if now := p.now(); p.keys == nil || now.Sub(p.looked) >= keysPause {
		keys, err := p.loadKeys(ctx, meta)
		if err != nil {
			return nil, err
		}
		p.keys, p.looked = keys, now
	}
	if key, ok := p.keys[id]; ok {
		return key, nil
	}
	return nil, fmt.Errorf("the sign-on has no key %q", id)
}

// rsaBitsMin is the shortest RSA key that is believed.
const rsaBitsMin = 2048

func (p *Provider) loadKeys(ctx context.Context, meta metadata) (map[string]any, error) {
	var set struct {
		Keys []struct {
			Type  string `json:"kty"`
			ID    string `json:"kid"`
			Use   string `json:"use"`
			Curve string `json:"crv"`
			N     string `json:"n"`
			E     string `json:"e"`
			X     string `json:"x"`
			Y     string `json:"y"`
		} `json:"keys"`
	}
	if err := p.get(ctx, meta.Keys, &set); err != nil {
		return nil, err
	}
	keys := map[string]any{}
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		switch {
		case k.Type == "RSA":
			n, e := number(k.N), number(k.E)
			if n != nil && e != nil && n.BitLen() >= rsaBitsMin && e.IsInt64() && e.Int64() > 1 && e.Int64() < 1<<31 {
				keys[k.ID] = &rsa.PublicKey{N: n, E: int(e.Int64())}
			}
		case k.Type == "EC" && k.Curve == "P-256":
			if key := point(k.X, k.Y); key != nil {
				keys[k.ID] = key
			}
		}
	}
	return keys, nil
}

func number(text string) *big.Int {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		return nil
	}
	return new(big.Int).SetBytes(raw)
}

// point returns the public key at x and y; nil where it is not on the curve.
func point(x, y string) *ecdsa.PublicKey {
	rawX, errX := base64.RawURLEncoding.DecodeString(x)
	rawY, errY := base64.RawURLEncoding.DecodeString(y)
	if errX != nil || errY != nil || len(rawX) != 32 || len(rawY) != 32 {
		return nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, rawX...), rawY...))
	if err != nil {
		return nil
	}
	return key
}
