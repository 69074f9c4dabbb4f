// Package oidc signs people on with OpenID Connect: the authorization code flow with PKCE and a nonce.
// Groups of the sign-on become roles and books.
package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"daybreak/internal/access"
)

// Config says which sign-on there is, and what its groups stand for.
type Config struct {
	Issuer       string         `yaml:"issuer" json:"issuer"`
	ClientID     string         `yaml:"client_id" json:"client_id"`
	ClientSecret string         `yaml:"-" json:"-"`
	SecretFile   string         `yaml:"client_secret_file" json:"client_secret_file"` // "": a public client
	Redirect     string         `yaml:"redirect_url" json:"redirect_url"`             // https://HOST/login/callback
	GroupsClaim  string         `yaml:"groups_claim" json:"groups_claim"`             // "": groups
	NameClaim    string         `yaml:"name_claim" json:"name_claim"`                 // "": preferred_username
	Groups       access.Mapping `yaml:"groups" json:"groups"`
}

// Validate returns every fault, joined. An issuer without TLS is for tests on this machine alone.
func (c Config) Validate() error {
	var faults []error
	for name, text := range map[string]string{"issuer": c.Issuer, "redirect_url": c.Redirect} {
		u, err := url.Parse(text)
		local := err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
		if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !local) {
			faults = append(faults, fmt.Errorf("%s is %q, want https://…", name, text))
		}
	}
	if c.ClientID == "" {
		faults = append(faults, errors.New("client_id is empty"))
	}
	if len(c.Groups) == 0 {
		faults = append(faults, errors.New("groups is empty: nobody would have a role"))
	}
	for group, grant := range c.Groups {
		for _, r := range grant.Roles {
			if !access.IsRole(r) {
				faults = append(faults, fmt.Errorf("group %s: %q is no role", group, r))
			}
		}
		for _, b := range grant.Books {
			if !access.IsBook(b) {
				faults = append(faults, fmt.Errorf("group %s: %q is no book", group, b))
			}
		}
	}
	return errors.Join(faults...)
}

const (
	callTimeout = 10 * time.Second // for one call to the sign-on
	skewMax     = time.Minute      // between its clock and ours, for a token of the future
)

// Provider is a sign-on. Make it with New; it is looked up when the first person comes, so that a
// server starts without it.
type Provider struct {
	config Config
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	found *gooidc.Provider
}

// New returns the sign-on of a configuration that Validate accepts.
func New(c Config, now func() time.Time) *Provider {
	if c.GroupsClaim == "" {
		c.GroupsClaim = "groups"
	}
	if c.NameClaim == "" {
		c.NameClaim = "preferred_username"
	}
	return &Provider{config: c, now: now, client: &http.Client{Timeout: callTimeout}}
}

// Challenge is what a sign-on was begun with.
type Challenge struct{ State, Nonce, Verifier string }

// Begin returns the address to which a browser is sent.
func (p *Provider) Begin(ctx context.Context, c Challenge) (string, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return p.flow(found).AuthCodeURL(c.State, oauth2.S256ChallengeOption(c.Verifier), gooidc.Nonce(c.Nonce)), nil
}

// Finish exchanges a code and returns whom the ID token names, with the roles and books of their groups.
func (p *Provider) Finish(ctx context.Context, c Challenge, code string) (access.Account, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return access.Account{}, err
	}
	token, err := p.flow(found).Exchange(gooidc.ClientContext(ctx, p.client), code, oauth2.VerifierOption(c.Verifier))
	if err != nil {
		return access.Account{}, fmt.Errorf("exchange the code: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	verifier := found.Verifier(&gooidc.Config{ClientID: p.config.ClientID, Now: p.now, SupportedSigningAlgs: algorithms})
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return access.Account{}, fmt.Errorf("id token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(c.Nonce)) != 1 || c.Nonce == "" {
		return access.Account{}, errors.New("id token: its nonce is another sign-on's")
	}
	return p.account(id)
}

// algorithms are what an ID token may be signed by: neither nothing nor a shared secret.
var algorithms = []string{gooidc.RS256, gooidc.ES256}

// holds returns what the library leaves to its callers: whom the token names, who asked for it, and that
// it is not of the future; nil where all of it is right.
func (p *Provider) holds(id *gooidc.IDToken, party string) error {
	switch {
	case id.Subject == "":
		return errors.New("id token: it names nobody")
	case party != p.config.ClientID && (party != "" || len(id.Audience) > 1):
		return fmt.Errorf("id token: it was asked for by %q, want %s", party, p.config.ClientID)
	case id.IssuedAt.After(p.now().Add(skewMax)):
		return errors.New("id token: it is of the future")
	}
	return nil
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,79}$`)

func (p *Provider) account(id *gooidc.IDToken) (access.Account, error) {
	claims := map[string]json.RawMessage{}
	if err := id.Claims(&claims); err != nil {
		return access.Account{}, fmt.Errorf("id token: %w", err)
	}
	party, name, groups := "", "", []string(nil)
	for claim, into := range map[string]any{"azp": &party, p.config.GroupsClaim: &groups} {
		if text, ok := claims[claim]; ok {
			if err := json.Unmarshal(text, into); err != nil {
				return access.Account{}, fmt.Errorf("claim %s: %w", claim, err)
			}
		}
	}
	if err := p.holds(id, party); err != nil {
		return access.Account{}, err
	}
	if err := json.Unmarshal(claims[p.config.NameClaim], &name); err != nil || !nameForm.MatchString(name) || access.Sample(name) != nil {
		return access.Account{}, fmt.Errorf("claim %s is %s, which can be no name here", p.config.NameClaim, claims[p.config.NameClaim])
	}
	a := access.Account{Person: access.Person{Name: name}, Issuer: id.Issuer, Subject: id.Subject}
	a.Roles, a.Books = p.config.Groups.Grants(groups)
	return a, nil
}

// flow returns the client of the code flow.
func (p *Provider) flow(found *gooidc.Provider) *oauth2.Config {
	return &oauth2.Config{ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret, RedirectURL: p.config.Redirect,
		Endpoint: found.Endpoint(), Scopes: []string{gooidc.ScopeOpenID, "profile"}}
}

// discover returns what the sign-on says of itself, asked for until it answers once.
func (p *Provider) discover(ctx context.Context) (*gooidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		// keys are looked for by later calls too, so this one's end must not end them
		found, err := gooidc.NewProvider(gooidc.ClientContext(context.WithoutCancel(ctx), p.client), p.config.Issuer)
		if err != nil {
			return nil, fmt.Errorf("sign-on: %w", err)
		}
		p.found = found
	}
	return p.found, nil
}
