// Package oidc signs people on with OpenID Connect: the authorization code flow with PKCE and a nonce,
// and ID tokens that are checked here. Groups of the sign-on become roles and books.
package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

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
	answerMax   = 1 << 20          // bytes of one answer of the sign-on
	callTimeout = 10 * time.Second // for one call to it
	keysPause   = time.Minute      // between two looks for keys that were unknown
	skewMax     = time.Minute      // between its clock and ours
)

// metadata is what a sign-on says of itself.
type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Keys          string `json:"jwks_uri"`
}

// Provider is a sign-on. Make it with New; it is looked up when the first person comes, so that a
// server starts without it.
type Provider struct {
	config Config
	client *http.Client
	now    func() time.Time

	mu     sync.Mutex
	found  *metadata
	keys   map[string]any // public keys by id
	looked time.Time
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
	flow, _, err := p.flow(ctx)
	if err != nil {
		return "", err
	}
	return flow.AuthCodeURL(c.State, oauth2.S256ChallengeOption(c.Verifier), oauth2.SetAuthURLParam("nonce", c.Nonce)), nil
}

// Finish exchanges a code and returns whom the ID token names, with the roles and books of their groups.
func (p *Provider) Finish(ctx context.Context, c Challenge, code string) (access.Account, error) {
	flow, meta, err := p.flow(ctx)
	if err != nil {
		return access.Account{}, err
	}
	token, err := flow.Exchange(context.WithValue(ctx, oauth2.HTTPClient, p.client), code, oauth2.VerifierOption(c.Verifier))
	if err != nil {
		return access.Account{}, fmt.Errorf("exchange the code: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	claims, err := p.verify(ctx, meta, raw)
	if err != nil {
		return access.Account{}, fmt.Errorf("id token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(claims.Nonce), []byte(c.Nonce)) != 1 || c.Nonce == "" {
		return access.Account{}, errors.New("id token: its nonce is another sign-on's")
	}
	return p.account(claims)
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,79}$`)

func (p *Provider) account(c claims) (access.Account, error) {
	var name string
	var groups []string
	if err := json.Unmarshal(c.all[p.config.NameClaim], &name); err != nil || !nameForm.MatchString(name) || access.Sample(name) != nil {
		return access.Account{}, fmt.Errorf("claim %s is %s, which can be no name here", p.config.NameClaim, c.all[p.config.NameClaim])
	}
	if text, ok := c.all[p.config.GroupsClaim]; ok {
		if err := json.Unmarshal(text, &groups); err != nil {
			return access.Account{}, fmt.Errorf("claim %s: %w", p.config.GroupsClaim, err)
		}
	}
	a := access.Account{Person: access.Person{Name: name}, Issuer: c.Issuer, Subject: c.Subject}
	a.Roles, a.Books = p.config.Groups.Grants(groups)
	return a, nil
}

// flow returns the client of the code flow, and what the sign-on says of itself.
func (p *Provider) flow(ctx context.Context) (*oauth2.Config, metadata, error) {
	meta, err := p.discover(ctx)
	if err != nil {
		return nil, meta, err
	}
	return &oauth2.Config{ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret, RedirectURL: p.config.Redirect,
		Endpoint: oauth2.Endpoint{AuthURL: meta.Authorization, TokenURL: meta.Token}, Scopes: []string{"openid", "profile"}}, meta, nil
}

func (p *Provider) discover(ctx context.Context) (metadata, error) {
	p.mu.Lock()
	found := p.found
	p.mu.Unlock()
	if found != nil {
		return *found, nil
	}
	var m metadata
	if err := p.get(ctx, strings.TrimSuffix(p.config.Issuer, "/")+"/.well-known/openid-configuration", &m); err != nil {
		return m, err
	}
	if m.Issuer != p.config.Issuer {
		return m, fmt.Errorf("the sign-on calls itself %q, want %q", m.Issuer, p.config.Issuer)
	}
	p.mu.Lock()
	p.found = &m
	p.mu.Unlock()
	return m, nil
}

func (p *Provider) get(ctx context.Context, address string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("sign-on: %w", err)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("sign-on: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("sign-on: %s answers %s", address, answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, answerMax)).Decode(into); err != nil {
		return fmt.Errorf("sign-on: %s: %w", address, err)
	}
	return nil
}
