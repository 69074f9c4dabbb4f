package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"daybreak/internal/access"
)

// issuer is a sign-on in this process: it gives the code that a test made, for the token that it made.
type issuer struct {
	*httptest.Server
	rsa       *rsa.PrivateKey
	ec        *ecdsa.PrivateKey
	challenge string // of PKCE, as the browser brought it
	token     string
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	var err1, err2 error
	i.rsa, err1 = rsa.GenerateKey(rand.Reader, 2048)
	i.ec, err2 = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%s/auth","token_endpoint":"%s/token","jwks_uri":"%s/keys"}`, i.URL, i.URL, i.URL, i.URL)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		point, err := i.ec.PublicKey.Bytes()
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"keys":[{"kty":"RSA","kid":"r","use":"sig","n":%q,"e":%q},{"kty":"EC","kid":"e","crv":"P-256","x":%q,"y":%q}]}`,
			b64(i.rsa.N.Bytes()), b64(big.NewInt(int64(i.rsa.E)).Bytes()), b64(point[1:33]), b64(point[33:]))
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if r.PostFormValue("code") != "code" || b64(sum[:]) != i.challenge {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"x","token_type":"Bearer","id_token":%q}`, i.token)
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// sign makes a token of a header and claims, by the key that the algorithm is of.
func (i *issuer) sign(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	h, err1 := json.Marshal(header)
	c, err2 := json.Marshal(claims)
	text := b64(h) + "." + b64(c)
	sum := sha256.Sum256([]byte(text))
	var signature []byte
	var err3 error
	switch header["alg"] {
	case "RS256":
		signature, err3 = rsa.SignPKCS1v15(rand.Reader, i.rsa, crypto.SHA256, sum[:])
	case "ES256":
		var r, s *big.Int
		if r, s, err3 = ecdsa.Sign(rand.Reader, i.ec, sum[:]); err3 == nil {
			signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	}
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	return text + "." + b64(signature)
}

var testNow = time.Date(2026, 3, 16, 12, 0, 0, 0, time.UTC)

func (i *issuer) provider() *Provider {
	return New(Config{Issuer: i.URL, ClientID: "daybreak", Redirect: "http://127.0.0.1/login/callback", Groups: access.Mapping{
		"traders": {Roles: []access.Role{access.PM}, Books: []string{"north"}}, "desk": {Roles: []access.Role{access.Approver, access.PM}, Books: []string{"south"}},
		"audit": {Roles: []access.Role{access.Auditor}},
	}}, func() time.Time { return testNow })
}

func (i *issuer) claims() map[string]any {
	return map[string]any{"iss": i.URL, "sub": "s-1", "aud": "daybreak", "exp": testNow.Unix() + 60, "iat": testNow.Unix(), "nonce": "n",
		"preferred_username": "mia", "groups": []string{"traders", "others"}}
}

var challenge = Challenge{State: "s", Nonce: "n", Verifier: "a-verifier-that-is-long-enough-for-pkce-43-chars"}

func TestSignOn(t *testing.T) {
	i := newIssuer(t)
	p := i.provider()
	to, err := p.Begin(t.Context(), challenge)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	q := u.Query()
	if err != nil || q.Get("state") != "s" || q.Get("nonce") != "n" || q.Get("code_challenge_method") != "S256" || q.Get("client_id") != "daybreak" {
		t.Fatalf("Begin = %s, %v, want state, nonce and a challenge", to, err)
	}
	i.challenge = q.Get("code_challenge")
	for _, alg := range []struct{ name, key string }{{"RS256", "r"}, {"ES256", "e"}} {
		i.token = i.sign(t, map[string]any{"alg": alg.name, "kid": alg.key}, i.claims())
		a, err := p.Finish(t.Context(), challenge, "code")
		if err != nil || a.Name != "mia" || a.Subject != "s-1" || a.Issuer != i.URL || !slices.Equal(a.Roles, []access.Role{access.PM}) || !slices.Equal(a.Books, []string{"north"}) {
			t.Errorf("Finish(%s) = %+v, %v, want mia, a portfolio manager of north", alg.name, a, err)
		}
	}
	if _, err := p.Finish(t.Context(), challenge, "other"); err == nil {
		t.Error("Finish takes a code that the sign-on did not give")
	}
	if _, err := p.Finish(t.Context(), Challenge{Nonce: "n", Verifier: "another"}, "code"); err == nil {
		t.Error("Finish takes a code with the verifier of another browser")
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	i := newIssuer(t)
	sum := sha256.Sum256([]byte(challenge.Verifier))
	i.challenge = b64(sum[:])
	good := map[string]any{"alg": "RS256", "kid": "r"}
	for _, tc := range []struct {
		name   string
		header map[string]any
		change func(c map[string]any)
	}{
		{"another issuer", good, func(c map[string]any) { c["iss"] = "https://evil.example" }},
		{"another audience", good, func(c map[string]any) { c["aud"] = "other" }},
		{"two audiences, another party", good, func(c map[string]any) { c["aud"] = []string{"daybreak", "other"}; c["azp"] = "other" }},
		{"two audiences, no party", good, func(c map[string]any) { c["aud"] = []string{"daybreak", "other"} }},
		{"expired", good, func(c map[string]any) { c["exp"] = testNow.Unix() - 60 }},
		{"no end", good, func(c map[string]any) { delete(c, "exp") }},
		{"of the future", good, func(c map[string]any) { c["iat"] = testNow.Unix() + 62 }},
		{"another nonce", good, func(c map[string]any) { c["nonce"] = "other" }},
		{"no nonce", good, func(c map[string]any) { delete(c, "nonce") }},
		{"nobody", good, func(c map[string]any) { delete(c, "sub") }},
		{"no name", good, func(c map[string]any) { delete(c, "preferred_username") }},
		{"a name of markup", good, func(c map[string]any) { c["preferred_username"] = "<b>" }},
		{"the name of a sample user", good, func(c map[string]any) { c["preferred_username"] = "ana" }},
		{"groups that are no list", good, func(c map[string]any) { c["groups"] = "desk" }},
		{"not signed", map[string]any{"alg": "none", "kid": "r"}, func(map[string]any) {}},
		{"a shared secret", map[string]any{"alg": "HS256", "kid": "r"}, func(map[string]any) {}},
		{"a key of another kind", map[string]any{"alg": "ES256", "kid": "r"}, func(map[string]any) {}},
		{"an unknown key", map[string]any{"alg": "RS256", "kid": "x"}, func(map[string]any) {}},
		{"an unknown demand", map[string]any{"alg": "RS256", "kid": "r", "crit": []string{"x"}}, func(map[string]any) {}},
	} {
		c := i.claims()
		tc.change(c)
		i.token = i.sign(t, tc.header, c)
		if a, err := i.provider().Finish(t.Context(), challenge, "code"); err == nil {
			t.Errorf("%s: Finish = %+v, want it refused", tc.name, a)
		}
	}
	whole := i.sign(t, good, i.claims())
	for at := 0; at < len(whole); at += 7 {
		text := []byte(whole)
		text[at] ^= 1
		i.token = string(text)
		if _, err := i.provider().Finish(t.Context(), challenge, "code"); err == nil && text[at] != '=' {
			t.Errorf("Finish takes a token with another byte %d", at)
		}
	}
}

func TestGroups(t *testing.T) {
	m := newIssuer(t).provider().config.Groups
	for _, tc := range []struct {
		groups []string
		roles  []access.Role
		books  []string
	}{
		{nil, nil, nil},
		{[]string{"others"}, nil, nil},
		{[]string{"traders"}, []access.Role{access.PM}, []string{"north"}},
		{[]string{"desk", "traders"}, []access.Role{access.Approver, access.PM}, []string{"north", "south"}},
		{[]string{"audit", "traders"}, []access.Role{access.Auditor, access.PM}, []string{"north"}},
	} {
		roles, books := m.Grants(tc.groups)
		if !slices.Equal(roles, tc.roles) || !slices.Equal(books, tc.books) {
			t.Errorf("Grants(%v) = %v of %v, want %v of %v", tc.groups, roles, books, tc.roles, tc.books)
		}
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	good := Config{Issuer: "https://id.example", ClientID: "d", Redirect: "https://d.example/login/callback", Groups: access.Mapping{"g": {Roles: []access.Role{access.PM}}}}
	if err := good.Validate(); err != nil {
		t.Errorf("Validate = %v, want nil", err)
	}
	for name, change := range map[string]func(*Config){
		"no TLS": func(c *Config) { c.Issuer = "http://id.example" }, "no client": func(c *Config) { c.ClientID = "" },
		"no groups": func(c *Config) { c.Groups = nil }, "a role that is none": func(c *Config) { c.Groups = access.Mapping{"g": {Roles: []access.Role{"root"}}} },
		"a book that is none": func(c *Config) { c.Groups = access.Mapping{"g": {Books: []string{"a,b"}}} }, "no way back": func(c *Config) { c.Redirect = "" },
	} {
		c := good
		change(&c)
		if c.Validate() == nil {
			t.Errorf("Validate(%s) = nil, want it refused", name)
		}
	}
}
